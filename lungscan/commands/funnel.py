"""An explanation in a terminal: one line a gate, then the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lungscan.explanation import Explanation
from lungscan.report.words import position

_MARKS = {True: Text("passed", "green"), False: Text("stopped", "red"), None: Text("")}


def show(explanation: Explanation, console: Console) -> None:
    i, r, c = explanation.at_irc
    console.print(f" {position(explanation.at_xyz_mm)} mm   slice {i:.0f}, row {r:.0f}, column {c:.0f}", highlight=False)
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for step in explanation.steps:
        table.add_row(step.gate, step.finding, _MARKS[step.passed])
    console.print(Padding(table, (1, 0)))
    console.print(Padding(Text(f"{explanation.verdict}.", "bold"), (0, 1)))
