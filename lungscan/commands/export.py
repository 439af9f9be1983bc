"""`lungscan export`: the networks for other runtimes, each held against PyTorch first."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o


class Runtime(StrEnum):
    onnx = "onnx"
    openvino = "openvino"
    tensorrt = "tensorrt"


def export(
    to: Annotated[Runtime, typer.Option(help="What it is made for.", show_default=False)],
    weights: o.WeightsFile = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="fp32, fp16, bf16 or int8; the runtime's own when left out.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="SM", help="TensorRT: the GPU to build for, as in sm_120; no GPU is needed.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files; made if missing.", show_default=False)
    ] = None,
    calibrate: Annotated[
        list[Path] | None, typer.Option(help="int8: a scan to take ranges from; may be given again. Else a phantom.")
    ] = None,
    on: Annotated[
        Path | None, typer.Option(help="A scan to compare on; a phantom when left out.", show_default=False)
    ] = None,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Make the networks into ONNX files, OpenVINO IR, or TensorRT plans.

    What was made runs a scan beside PyTorch before it is written or installed: the same nodules, centres and probabilities
    within the bounds of its precision, or the table shows where they part (exit code 4). TensorRT's plans and int8 go to the
    cache that scans take them from. A plan for a GPU that is not here is installed unverified, and proven at its first use.

    Example: lungscan export --to tensorrt --precision fp16 --target sm_120
    """
    from rich.console import Console

    from lungscan.parity.export import export as run
    from lungscan.weights import load, shipped

    console = Console()
    with console.status(f"making networks for {to.value}"):
        made = run(
            load(weights or shipped()),
            to.value,
            precision,
            target=target,
            folder=output,
            calibrate=calibrate or (),
            on=on,
        )
    if made.checks:
        from lungscan.commands.parity_table import show

        show(made.checks, made.reference, console)
    for file in made.files:
        typer.echo(file)
    if not made.files:
        typer.echo("nothing is installed: the engine parts from the reference.", err=True)
        raise typer.Exit(4)
    if not made.checks:
        typer.echo("built, not verified: this machine has no such GPU; the first scan on one proves it.")
