"""A comparison in a terminal: how well the scans were aligned, then a line a nodule, earlier beside newer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lungscan.comparison.changes import Change, State
from lungscan.comparison.compare import Comparison
from lungscan.report.text import harmless

_STYLES = {State.new: "bold red", State.growing: "bold red", State.outside: "yellow"}
_LEGEND = (
    "mean Ø: of long and short axis, as guidelines measure · growing or shrinking: by 25 % of the volume or more · "
    "each scan counts its own nodules · (c): a candidate just under the nodule threshold"
)


def show(comparison: Comparison, console: Console) -> None:
    for name, value in _facts(comparison):
        console.print(Text.assemble((f" {name:8}", "bold"), value), soft_wrap=True)
    console.print()
    if comparison.changes:
        console.print(_table(comparison))
        console.print(Padding(Text(_LEGEND, style="dim"), (1, 1)))
    else:
        console.print(Text(" No nodules in either scan", "bold"))
    for warning in comparison.warnings:
        console.print(Text.assemble((" ! ", "bold yellow"), f"{harmless(warning.message)} ({warning.code})"), soft_wrap=True)


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    fit = comparison.alignment
    yield "prior", harmless(comparison.prior_path)
    yield "now", harmless(comparison.now_path)
    yield "between", "not known" if comparison.days is None else f"{comparison.days:.0f} days"
    yield "aligned", f"correlation {fit.correlation:.3f}, overlap of the lungs (Dice) {fit.dice:.3f}"
    counts = Counter(change.state for change in comparison.changes)
    yield "nodules", ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "none"


def _table(comparison: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, show_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("#", "slice\nnow", "mean Ø\nmm", "volume\nmm³", "doubling\ntime"):
        table.add_column(name, no_wrap=True)
    for change in comparison.changes:
        table.add_row(*map(Text, _row(change)), style=_STYLES.get(change.state))
    return table


def _row(change: Change) -> Iterator[str]:
    both = (change.prior, change.now)
    mean = " → ".join("-" if seen is None else f"{seen.mean_mm:.1f}" for seen in both)
    volume = " → ".join("-" if seen is None else f"{seen.volume_mm3:.0f}" for seen in both)
    yield change.state
    yield " → ".join("-" if seen is None else f"{seen.id}{' (c)' if seen.faint else ''}" for seen in both)
    yield "-" if change.now is None else str(change.now.slice)
    yield mean if change.mean_change_mm is None else f"{mean} ({change.mean_change_mm:+.1f})"
    yield volume if change.volume_change is None else f"{volume} ({change.volume_change:+.0%})"
    yield "not known" if change.state is State.growing and change.doubling_days is None else change.growth or "-"
