"""What `lungscan inspect` found, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lungscan.readers import SeriesFacts
from lungscan.report.text import harmless


def show(series: Iterable[SeriesFacts], console: Console) -> None:
    """A block a series: its name, then what is known of it."""
    for facts in series:
        head = Text(harmless(facts.description or facts.path), "bold")
        console.print(head)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in _rows(facts):
            grid.add_row(name, Text(harmless(value)))
        console.print(Padding(grid, (0, 0, 1, 2)))


def _rows(facts: SeriesFacts) -> Iterable[tuple[str, str]]:
    yield "file", f"{facts.path}{f' ({facts.format})' if facts.format else ''}"
    if facts.series_uid:
        yield "series", facts.series_uid
    if facts.images:
        yield "images", str(facts.images)
    if facts.shape_irc and facts.spacing_irc_mm:
        yield "size", " x ".join(map(str, facts.shape_irc))
        yield "voxel", " x ".join(f"{mm:.4g}" for mm in facts.spacing_irc_mm) + " mm (slice, row, column)"
    if facts.kernel:
        yield "kernel", facts.kernel
    if facts.hu_range:
        yield "HU", f"{facts.hu_range[0]} to {facts.hu_range[1]}"
    for notice in facts.notices:
        yield "warning", notice.message
    if facts.refusal:
        yield "refused", facts.refusal
