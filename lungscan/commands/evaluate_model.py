"""`lungscan evaluate model`: judge a weights file on scans with known truth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o


class Set(StrEnum):
    training = "training"
    validation = "validation"
    all = "all"


def model(
    weights: o.WeightsFile = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A training cache to judge on.", show_default=False)
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Scans to judge on, in LUNA16's or LIDC-IDRI's layout.", show_default=False),
    ] = None,
    which: Annotated[Set, typer.Option("--set", help="The set of the cache's split.")] = Set.all,
    only: Annotated[
        str, typer.Option(metavar="NAME", help="Scans whose names fit, with * and ?; painted copies where it has a +.")
    ] = "*",
    include_trained: Annotated[
        bool, typer.Option("--include-trained", help="Count scans that the networks learned from.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for evaluation.json, curves and overlay pictures.",
            show_default=False,
        ),
    ] = None,
    as_json: o.AsJson = False,
    device: o.DeviceOption = o.Device.auto,
    engine: o.EngineOption = o.EngineName.auto,
    precision: o.PrecisionOption = o.Precision.auto,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Judge a weights file: FROC, ROC beside diameter alone, calibration, diameters, and which stage lost what is missed.

    Scans that the networks learned from are left out and named. Counts are those at the card's thresholds. Intervals hold
    95 % of 1000 bootstraps over scans or patients. -o also draws each nodule's slice: green found, red false, orange missed.

    Example: lungscan evaluate model --cache cache --set validation -o judged
    """
    from lungscan.commands.progress import bar
    from lungscan.errors import UsageError

    scans = cache or dataset
    if scans is None or (cache and dataset):
        raise UsageError("give the scans either as --cache DIR or as --dataset DIR.")
    if dataset and which is not Set.all:
        raise UsageError("--set is for --cache: a data set has no split; choose scans by --only.")

    from lungscan.evaluation.cases import cached, of_dataset
    from lungscan.evaluation.curves import need_matplotlib
    from lungscan.evaluation.run import evaluate, write
    from lungscan.pipeline import Networks
    from lungscan.settings import Settings

    pictures = None if output is None else output / "overlays"
    if pictures is not None:  # before the long work
        need_matplotlib()
        _make(pictures)
    networks = Networks.open(Settings(weights, device=device.value, engine=engine.value, precision=precision.value))
    card = networks.weights.card
    source = cached(scans, card, which.value, only) if cache else of_dataset(scans, card, only)
    with bar(quiet=quiet) as progress:
        result = evaluate(source, networks, include_trained=include_trained, pictures=pictures, progress=progress)
    if output is not None:
        write(result, output)
    if as_json:
        typer.echo(result.to_json())
        return
    from rich.console import Console

    from lungscan.commands.figures import show

    show(result, Console(highlight=False))


def _make(folder: Path) -> None:
    from lungscan.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o: {folder} cannot be a folder to write into: {error.strerror}.") from error
