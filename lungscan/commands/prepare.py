"""`lungscan prepare`: make the training cache of a data set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o

if TYPE_CHECKING:
    from lungscan.training.prepare import Prepared

LUNA16_SCANS = 888


class Where(StrEnum):
    cpu = "cpu"
    cuda = "cuda"


def prepare(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder in LUNA16's or LIDC-IDRI's layout.")],
    cache: Annotated[Path, typer.Option(metavar="DIR", help="Where the cache is or will be.", show_default=False)],
    preview: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write contact sheets of both sets.", show_default=False)
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights whose card names the grid; the shipped one when left out.", show_default=False),
    ] = None,
    compress: Annotated[bool, typer.Option("--compress", help="Store arrays with Blosc2: a quarter of the disk.")] = False,
    device: Annotated[Where, typer.Option(help="Where scans are resampled; cuda needs CuPy.")] = Where.cpu,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Make the training cache of a data set: scans on the networks' grid, lungs, nodule labels, and a split by patient.

    LUNA16: subset*/UID.mhd, annotations.csv and the tables beside it. LIDC-IDRI: folders or zips of DICOM and the readers'
    XML. What is in the cache already is kept, so run the same command again after an interruption. Exits with 3 when not
    one scan could be prepared.

    Example: lungscan prepare LUNA16 --cache cache --preview sheets
    """
    from functools import partial

    from lungscan.commands.progress import bar
    from lungscan.report.text import harmless
    from lungscan.training import preview as sheets
    from lungscan.training.cache import Cache
    from lungscan.training.prepare import Form
    from lungscan.training.prepare import prepare as run
    from lungscan.weights import load, shipped

    card = load(weights or shipped()).card
    form = Form.of(card, compress=compress, device=device.value)
    if preview is not None:
        sheets.pillow()  # before the long work, so that what is missing costs no run
    with bar(quiet=quiet) as progress:
        done = run(dataset, cache, form, partial(progress, "scans"))
    for skipped in done.skipped:
        typer.echo(f"skipped {harmless(skipped.name)}: {harmless(skipped.reason, longest=500)}")
    for line in _summary(done, card.label_rule):
        typer.echo(line)
    if preview is not None:
        for path in sheets.write_sheets(Cache(cache), done.entries, done.sets, preview):
            typer.echo(f"{path}")


def _summary(done: Prepared, label_rule: str) -> list[str]:
    from collections import Counter

    from lungscan.malignancy_rules import RULES

    scans = len(done.entries)
    labels = Counter(RULES[label_rule].label(nodule.ratings) for entry in done.entries for nodule in entry.nodules)
    nodules, ignored = sum(len(e.nodules) for e in done.entries), sum(len(e.ignored) for e in done.entries)
    aside = list(done.sets.values()).count("validation")
    size = done.megabytes / scans
    lines = [
        f"{done.made} scans prepared, {scans} in the cache, {len(done.skipped)} skipped",
        f"{nodules} nodules, {ignored} findings that do not count",
        f"malignancy by {label_rule}: {labels[True]} malignant, {labels[False]} benign, {labels[None]} unrated or left out",
        f"patients: {len(done.sets) - aside} training, {aside} validation",
        f"{size:.1f} MB a scan; {LUNA16_SCANS} scans: {size * LUNA16_SCANS / 1000:.1f} GB",
    ]
    if done.made:
        each = done.seconds / (done.made + len(done.skipped))
        lines.append(f"{each:.1f} s a scan; {LUNA16_SCANS} scans: {each * LUNA16_SCANS / 60:.0f} minutes")
    return lines
