"""`lungscan train`: train the networks of a run, one after the other."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungscan.training.loop import Told

SHOWN = ("marked", "AUC", "recall", "precision", "F1", "loss")


class Network(StrEnum):
    segmentation = "segmentation"
    nodule = "nodule"
    malignancy = "malignancy"


def train(
    network: Annotated[Network, typer.Argument(help="Which one.", show_default=False)],
    cache: Annotated[Path, typer.Option(metavar="DIR", help="What `lungscan prepare` made.", show_default=False)],
    run: Annotated[
        Path, typer.Option("--output", "-o", metavar="RUN", help="The folder of all three networks.", show_default=False)
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint, to the weights of an unbroken training.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches to learn from; when left out, a long training.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same training.")] = 0,
    device: Annotated[o.Device, typer.Option(help="Where to train; bf16 where it is native.")] = o.Device.auto,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A card as JSON, as `lungscan weights show --json` prints it; when left out, the run's own, or that of the "
            "shipped weights.",
            show_default=False,
        ),
    ] = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Train a network on a cache: first segmentation, then nodule on its candidates, then malignancy from nodule.

    The training patients of the cache's split train, the validation patients choose the best step: of segmentation by the
    nodules marked at few false regions a slice, of the classifiers by AUC. RUN/NETWORK/tensorboard holds curves and
    pictures; RUN/weights.safetensors is there as soon as segmentation and nodule are, calibrated on the validation patients.

    Several processes train one network under `torchrun --nproc-per-node N -m lungscan.commands train ...`.

    Example: lungscan train segmentation --cache cache -o run
    """
    from importlib.util import find_spec

    from lungscan.commands.progress import bar
    from lungscan.errors import EngineUnavailable

    if find_spec("torch") is None:
        raise EngineUnavailable("training needs torch, which is not installed: pip install 'lungscan-ct[train]'.")

    from lungscan.training import devices
    from lungscan.training.jobs import Job, work
    from lungscan.training.run import NETWORK, WEIGHTS

    with devices.team(device.value), bar(quiet=quiet) as progress:

        def tell(told: Told) -> None:
            progress(network.value, told.step, told.steps)
            if told.validation is not None:
                typer.echo(_line(network.value, told))

        trained = work(Job(network.value, cache, run, resume, steps, seed, device.value, card), tell, progress)
        alone = devices.rank() == 0
    if alone:
        typer.echo(f"{run / network / NETWORK}: {network}, its best step {trained.step}")
        for line in _summary(dict(trained.history)[trained.step]):
            typer.echo(line)
        if (run / WEIGHTS).is_file():
            typer.echo(f"{run / WEIGHTS}")


def _line(network: str, told: Told) -> str:
    """Of one validation: training / validation of the loss, of what decides and of F1; the best so far is marked."""
    f = told.validation.figures if told.validation else {}
    shown = "  ".join(
        f"{name} {f[f'training/{name}']:.3f} / {f[f'validation/{name}']:.3f}"
        for name in ("loss", "marked", "AUC", "F1")
        if f"training/{name}" in f and f"validation/{name}" in f
    )
    return f"{network} {told.step:6}/{told.steps} {told.seconds:6.0f} s  {shown}{'  best' if told.best else ''}"


def _summary(figures: Mapping[str, float]) -> list[str]:
    """Rates and counts by class of either set."""
    lines = []
    for name in ("training", "validation"):
        f = {key.partition("/")[2]: value for key, value in figures.items() if key.startswith(f"{name}/")}
        rates = [f"{key} {f[key]:.3f}" for key in SHOWN if key in f]
        counts = [f"{f[f'{kind} right']:.0f} of {f[kind]:.0f} {kind} right" for kind in ("positives", "negatives")]
        lines.append(f"  {name:10}  {', '.join([*rates, *counts])}")
    return lines
