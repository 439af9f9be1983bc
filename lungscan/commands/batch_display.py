"""What `lungscan batch` shows: a line a scan on stdout; on stderr what is under way, and one bar with the time left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from lungscan.batch.inputs import Scan
    from lungscan.batch.rows import Row
    from lungscan.stages import Progress

SPEED_S = 600.0
"""The time left is estimated from the scans of so many seconds."""


class Display:
    """Lines go to stdout as scans are done; the bars are drawn on a terminal alone.

    fresh : a row was shown since this was last set to False
    """

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.fresh = False
        self._quiet, self._as_json = quiet, as_json
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        drawn = not quiet and sys.stderr.isatty()
        self._bars = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            disable=not drawn,
            redirect_stdout=sys.stdout.isatty(),
            speed_estimate_period=SPEED_S,
        )
        self._all = self._bars.add_task("scans", total=None)
        self._under_way: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, scans: int, missing: int, passed_over: Sequence[str]) -> None:
        from lungscan.report.text import harmless
        from lungscan.report.words import LONGEST

        self._bars.update(self._all, total=missing)
        if passed_over:
            first = harmless(passed_over[0], LONGEST)
            self._say(f"{len(passed_over)} folders hold DICOM but no CT slices and are passed over ({first}, ...)")
        if missing < scans:
            self._say(f"{scans - missing} of {scans} scans are finished already")

    def told(self, scan: Scan) -> Progress:
        """The progress of one scan, a line while it is under way."""
        with self._lock:
            task = self._under_way[scan.name] = self._bars.add_task(f"  {scan.name}: reading", total=None)

        def step(stage: str, done: int, total: int) -> None:
            self._bars.update(task, description=f"  {scan.name}: {stage}", completed=done, total=total)

        return step

    def row(self, row: Row) -> None:
        from lungscan.batch.summary import line
        from lungscan.report.text import harmless

        self.fresh = True
        with self._lock:
            task = self._under_way.pop(row.name, None)
        if task is not None:
            self._bars.remove_task(task)
        self._bars.advance(self._all)
        typer.echo(line(row) if self._as_json else f"{row.status:8} {harmless(row.name)}  {_found(row)}")

    def end(self, rows: Sequence[Row], output: str) -> None:
        """The counts, on stdout unless that is for JSON alone."""
        from lungscan.report.words import several

        lost = sum(row.status != "ok" for row in rows)
        suspicious = sum(row.suspicious is True for row in rows)
        text = f"{several(len(rows), 'scan')}: {suspicious} suspicious, {lost} not examined; see {output}/index.html"
        typer.echo(text, err=self._as_json)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _found(row: Row) -> str:
    from lungscan.report.text import harmless
    from lungscan.report.words import LONGEST, several

    if row.status != "ok":
        return harmless(row.reason, LONGEST)
    largest = "" if row.largest_mm is None else f", the largest {row.largest_mm:.1f} mm"
    suspicious = "" if row.p_malignant_max is None else f", P(malignant) up to {row.p_malignant_max:.3f}"
    mark = ", suspicious" if row.suspicious else ""
    return f"{several(row.nodules or 0, 'nodule')}{largest}{suspicious}{mark}"
