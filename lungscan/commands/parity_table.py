"""What lies between engines and the reference, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungscan.findings import Candidate
from lungscan.parity.compare import Parity
from lungscan.parity.gate import Check
from lungscan.report.text import harmless

MEANING = "mm: of a nodule's centre, candidates: those of one alone, voxels: of a voxel's probability"


def show(checks: Sequence[Check], reference: str, console: Console) -> None:
    """A line an engine with its largest differences; then what cannot run, and the nodules at which one parts."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("engine", overflow="fold")
    table.add_column("", no_wrap=True)
    for name in ("mm", "P(nodule)", "P(malignant)", "candidates", "voxels"):
        table.add_column(name, justify="right", no_wrap=True)
    compared = [(check, check.parity) for check in checks if check.parity is not None]
    several = len({check.scan for check, _ in compared}) > 1
    for check, parity in compared:
        verdict = Text("parts", "red") if check.parts else Text("agrees", "green")
        table.add_row(_row_name(check, several), verdict, *_figures(parity))
    if compared:
        console.print(table)
        scans = ", ".join(f"{n} nodules in {harmless(scan)}" for scan, n in {c.scan: p.nodules for c, p in compared}.items())
        console.print(Text(f"largest differences from {reference} ({scans}); {MEANING}", "dim"))
    for precision, bounds in {check.precision: parity.bounds for check, parity in compared}.items():
        console.print(
            Text(
                f"{precision} may differ by {bounds.centre_mm:g} mm, {bounds.probability:g} "
                f"and {100 * bounds.unpaired:g} % of the candidates",
                "dim",
            )
        )
    for check in checks:
        if check.missing:
            console.print(Text(f"{_name(check)}: {harmless(check.missing)}", "dim"), soft_wrap=True)
    for check, parity in compared:
        if parity.partings:
            console.print(_partings(check, parity))


def _name(check: Check) -> str:
    return f"{check.engine} {check.precision} {check.device}"


def _row_name(check: Check, several: bool) -> Text:
    """The engine, and below it the scan where there are several."""
    return Text.assemble(_name(check), (f"\n  {harmless(check.scan)}" if several else "", "dim"))


def _figures(parity: Parity) -> tuple[str, ...]:
    return (
        f"{parity.centre_mm:.2f}",
        f"{parity.p_nodule:.4f}",
        f"{parity.p_malignant:.4f}",
        f"{parity.unpaired} of {parity.candidates}",
        f"{parity.heatmap:.3f}",
    )


def _partings(check: Check, parity: Parity) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), title=f"where {_name(check)} parts on {harmless(check.scan)}", title_justify="left"
    )
    for name in ("place, mm", "diameter, mm", "P(nodule), reference", f"P(nodule), {check.engine}"):
        table.add_column(name, justify="right")
    for parting in parity.partings:
        there = parting.reference or parting.engine
        if there is not None:
            place = ", ".join(f"{x:.1f}" for x in there.centre_xyz_mm)
            table.add_row(place, f"{there.diameter_mm:.1f}", _p(parting.reference), _p(parting.engine))
    return table


def _p(candidate: Candidate | None) -> str:
    return "no candidate" if candidate is None or candidate.p_nodule is None else f"{candidate.p_nodule:.4f}"
