"""The report in a terminal: the patient's result, the nodules, then how they were found.

Nothing rests on colour alone, and all text from files goes through `harmless` and `Text`, never through rich's markup.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lungscan.findings import Nodule, Report
from lungscan.report.text import harmless
from lungscan.report.words import LONGEST, position, said, several

MOST_NODULES = 20
ROOMY_COLUMNS = 100

CLOSING = "lungscan helps a radiologist look; it is no medical device."

_ASCII = str.maketrans({"▲": "!", "Ø": "d", "·": "-", "×": "x", "³": "3", "°": " deg"})


def show(report: Report, console: Console) -> None:
    """Print the report, as wide as the console up to 120 columns; without trailing blanks where it is no terminal."""
    width = min(console.width, 120)
    unicode = console.encoding.lower().startswith("utf")
    if console.is_terminal and unicode:
        console.print(_page(report, width), width=width)
        return
    with console.capture() as page:
        console.print(_page(report, width), width=width)
    text = "".join(f"{line.rstrip()}\n" for line in page.get().splitlines())
    if not unicode:
        text = text.translate(_ASCII).encode(console.encoding, "backslashreplace").decode(console.encoding)
    console.out(text, end="", highlight=False)


def _page(report: Report, width: int) -> RenderableType:
    findings = [_table(report, roomy=width >= ROOMY_COLUMNS)] if report.nodules else []
    warnings = [_warnings(report)] if report.warnings else []
    parts: list[RenderableType] = [_result(report), Padding(_count(report), (1, 1, 0, 1)), *findings]
    parts += [Padding(part, (1, 1, 0, 1)) for part in (*warnings, _facts(report))]
    return Group(*parts, Padding(Text(CLOSING, style="italic"), (1, 1)))


def _result(report: Report) -> RenderableType:
    patient = report.patient
    if patient.suspicious is None:
        verdict, style = Text("MALIGNANCY NOT ASSESSED"), "yellow"
    elif patient.suspicious:
        verdict, style = Text("▲ SUSPICIOUS"), "red"
    else:
        verdict, style = Text("NOT SUSPICIOUS"), "blue"
    verdict.stylize(f"bold {style}")
    if patient.p_malignant_max is not None:
        verdict.append(f"   highest P(malignant) {patient.p_malignant_max:.3f}", style="not bold default")
    rule = harmless(patient.rule, LONGEST)
    return Panel(Group(verdict, Text(f"{rule[:1].upper()}{rule[1:].rstrip('.')}.")), border_style=style, padding=(0, 1))


def _count(report: Report) -> Text:
    nodules, threshold = report.nodules, report.settings.thresholds.nodule
    candidates = several(report.candidates.total, "candidate")
    if not nodules:
        none = f"none of {candidates} reaches P(nodule) {threshold:g}" if report.candidates.total else "no candidates"
        return Text.assemble(("No nodules found", "bold"), f"   {none}")
    head = several(len(nodules), "nodule")
    if report.patient.suspicious is not None:
        head += f", {sum(n.suspicious is True for n in nodules)} suspicious"
    return Text.assemble((head, "bold"), f"   {report.candidates.kept} kept of {candidates}")


def _table(report: Report, *, roomy: bool) -> RenderableType:
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True, show_edge=False, header_style="bold"
    )
    table.add_column("#\n", justify="right", no_wrap=True)
    table.add_column("slice\n", justify="right", no_wrap=True)
    table.add_column("position, mm\nfrom origin", no_wrap=True)
    table.add_column("Ø\nmm", justify="right", no_wrap=True)
    table.add_column("volume\nmm³", justify="right", no_wrap=True)
    if roomy:
        table.add_column("mean\nHU", justify="right", no_wrap=True)
    table.add_column("P\nnodule", justify="right", no_wrap=True)
    table.add_column("P\nmalignant", justify="right", no_wrap=True)
    if roomy:
        table.add_column("", no_wrap=True)
    for nodule in report.nodules[:MOST_NODULES]:
        table.add_row(*_row(nodule, roomy=roomy), style="bold red" if nodule.suspicious else None)
    more = len(report.nodules) - MOST_NODULES
    legend = "▲ suspicious · slices count from 0 · R/L, A/P, S/I: the patient's right, left, front, back, head, feet · "
    legend += "Ø: of the sphere of this volume"
    if more > 0:
        legend = f"and {more} more: all are in --json\n{legend}"
    return Group(Padding(table, (1, 1, 1, 1)), Padding(Text(legend, style="dim"), (0, 1)))


def _row(n: Nodule, *, roomy: bool) -> Iterator[Text]:
    yield Text(f"▲ {n.id}" if n.suspicious else str(n.id))
    yield Text(str(n.slice))
    yield Text(position(n.centre_xyz_mm))
    yield Text(f"{n.diameter_mm:.1f}")
    yield Text(f"{n.volume_mm3:.0f}")
    if roomy:
        yield Text(f"{n.hu_mean:.0f}")
    yield Text(f"{n.p_nodule:.3f}")
    yield Text("-" if n.p_malignant is None else f"{n.p_malignant:.3f}")
    if roomy:
        yield Text("suspicious" if n.suspicious else "")


def _facts(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in said(report):
        table.add_row(Text(name), Text(value))
    return table


def _warnings(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    for warning in report.warnings:
        sentence = f"{harmless(warning.message, LONGEST)} ({harmless(warning.code)})"
        table.add_row(Text("!", style="bold yellow"), Text(sentence))
    return Group(Text("Warnings", style="bold"), table)
