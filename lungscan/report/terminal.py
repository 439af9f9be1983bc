"""The report in a terminal: the result first, then the nodules, then what it rests on. Readable in 80 columns, and plain."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lungscan.findings import Nodule, Report
from lungscan.report.text import harmless
from lungscan.volume import Triple

ROWS = 20
"""Nodules shown; the rest is counted."""

DISCLAIMER = "lungscan helps a radiologist look; it is no medical device."


def show(report: Report, console: Console) -> None:
    """Print the report; colour only underlines what the words say."""
    console.print(_result(report))
    console.print(_nodules(report) if report.nodules else Padding(Text("No nodules found."), (0, 1)))
    console.print(Padding(_facts(report), (1, 1, 0, 1)))
    for warning in report.warnings:
        console.print(Padding(Text(f"Warning: {harmless(warning.message)}", "yellow"), (0, 1)))
    console.print(Padding(Text(_times(report), "dim"), (1, 1, 0, 1)))
    console.print(Padding(Text(DISCLAIMER, "dim"), (0, 1)))


def _result(report: Report) -> RenderableType:
    patient = report.patient
    count = f"{len(report.nodules)} nodule{'' if len(report.nodules) == 1 else 's'}"
    if patient.suspicious is None:
        word, style = "MALIGNANCY NOT ASSESSED", "yellow"
    elif patient.suspicious:
        word, style = "SUSPICIOUS", "red"
        count += f", {sum(bool(n.suspicious) for n in report.nodules)} suspicious"
    else:
        word, style = "NOT SUSPICIOUS", "green"
    head = Text.assemble((word, f"bold {style}"), f"   {count}")
    if patient.p_malignant_max is not None:
        head.append(f", highest P(malignant) {patient.p_malignant_max:.2f}")
    return Panel(Group(head, Text(f"Rule: {patient.rule}.", "dim")), border_style=style, padding=(0, 1))


def _nodules(report: Report) -> RenderableType:
    table = Table(box=None, pad_edge=True, header_style="bold")
    for name in ("#", "slice", "position mm", "diam. mm", "vol. mm³", "P(nod.)", "P(mal.)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for n in report.nodules[:ROWS]:
        table.add_row(
            str(n.id),
            str(n.slice),
            position(n.centre_xyz_mm),
            f"{n.diameter_mm:.1f}",
            f"{n.volume_mm3:.0f}",
            f"{n.p_nodule:.3f}",
            "-" if n.p_malignant is None else f"{n.p_malignant:.3f}",
            _mark(n),
            style="bold" if n.suspicious else "",
        )
    more = len(report.nodules) - ROWS
    rest = [Text(f"  and {more} more (all of them with --json)")] if more > 0 else []
    return Group(table, *rest)


def position(xyz_mm: Triple) -> str:
    """Patient millimetres with the side that each points to, as radiologists read them: L 62.3 P 33.1 H 98.4."""
    sides = (("L", "R"), ("P", "A"), ("H", "F"))
    return " ".join(f"{pair[v < 0]}{abs(v):6.1f}" for pair, v in zip(sides, xyz_mm, strict=True))


def _mark(n: Nodule) -> Text:
    return Text("◀ suspicious", "red") if n.suspicious else Text("")


def _facts(report: Report) -> RenderableType:
    scan, settings = report.input, report.settings
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")

    def row(name: str, value: str) -> None:
        grid.add_row(name, Text(harmless(value)))

    row("scan", f"{scan.path} ({scan.format})")
    row("series", scan.series_uid)
    slices, rows, columns = scan.shape_irc
    i, r, c = scan.spacing_irc_mm
    row("geometry", f"{slices} slices of {rows} x {columns}, voxels {i:.4g} x {r:.4g} x {c:.4g} mm")
    about = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in scan.facts.items())
    if about:
        row("acquired", about)
    if report.lungs is not None:
        row("lungs", f"{report.lungs.volume_ml / 1000:.1f} l")
    row("candidates", f"{report.candidates.total}, kept {report.candidates.kept}")
    t = settings.thresholds
    row("thresholds", f"segmentation {t.segmentation:g}, nodule {t.nodule:g}, malignancy {t.malignancy:g}")
    row("weights", f"{settings.weights.name} ({settings.weights.sha256[:12]})")
    row(
        "engine",
        f"{settings.engine}, {settings.precision}, {settings.device}{'' if settings.lung_gate else ', no lung gate'}",
    )
    for skipped in scan.skipped_series:
        row("not read", skipped)
    return grid


def _times(report: Report) -> str:
    stages = "  ".join(f"{stage} {seconds:.2f}" for stage, seconds in report.timing_s.items() if seconds >= 0.005)
    return f"seconds: {stages}"
