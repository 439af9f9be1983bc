"""`lungscan prepare`: make the training cache of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungscan.training.prepare import Prepared

LUNA16_SCANS = 888


def prepare(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder in LUNA16's or LIDC-IDRI's layout.")],
    cache: Annotated[Path, typer.Option(metavar="DIR", help="Where the cache is or will be.", show_default=False)],
    preview: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write contact sheets of both sets.", show_default=False)
    ] = None,
) -> None:
    """Make the training cache of a data set: scans on the networks' grid, lungs, nodule labels, and a split by patient.

    LUNA16: subset*/UID.mhd, annotations.csv and the tables beside it. LIDC-IDRI: folders or zips of DICOM with the readers'
    XML. What is in the cache already is kept, so run the same command again after an interruption. Exits with 3 when not
    one scan could be prepared.

    Example: lungscan prepare LUNA16 --cache cache --preview sheets
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lungscan.report.text import harmless
    from lungscan.training.prepare import prepare as run

    columns = (TextColumn("scans"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        done = run(dataset, cache, lambda scans, total: bar.update(task, completed=scans, total=total))
    for skipped in done.skipped:
        typer.echo(f"skipped {harmless(skipped.name)}: {harmless(skipped.reason, longest=500)}")
    for line in _summary(done):
        typer.echo(line)
    if preview is not None:
        from lungscan.training.cache import Cache
        from lungscan.training.preview import write_sheets

        for path in write_sheets(Cache(cache), done.entries, done.sets, preview):
            typer.echo(f"{path}")


def _summary(done: Prepared) -> list[str]:
    scans = len(done.entries)
    nodules, ignored = sum(len(e.nodules) for e in done.entries), sum(len(e.ignored) for e in done.entries)
    aside = list(done.sets.values()).count("validation")
    size = done.megabytes / scans
    lines = [
        f"{done.made} scans prepared, {scans} in the cache, {len(done.skipped)} skipped",
        f"{nodules} nodules, {ignored} findings that do not count",
        f"patients: {len(done.sets) - aside} training, {aside} validation",
        f"{size:.1f} MB a scan; {LUNA16_SCANS} scans: {size * LUNA16_SCANS / 1000:.1f} GB",
    ]
    if done.made:
        each = done.seconds / (done.made + len(done.skipped))
        lines.append(f"{each:.1f} s a scan; {LUNA16_SCANS} scans: {each * LUNA16_SCANS / 60:.0f} minutes")
    return lines
