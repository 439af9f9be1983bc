"""`lungscan doctor`: what this machine can run, what is missing, and what a scan will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o

if TYPE_CHECKING:
    from lungscan.settings import Settings


def doctor(
    plan: Annotated[
        Path | None,
        typer.Option(help="A scan: say what it will take, with the options below.", show_default=False),
    ] = None,
    series: o.Series = None,
    weights: o.WeightsFile = None,
    device: o.DeviceOption = o.Device.auto,
    engine: o.EngineOption = o.EngineName.auto,
    precision: o.PrecisionOption = o.Precision.auto,
    lung_gate: o.LungGate = True,
    as_json: o.AsJson = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Say what this machine can run and what is missing, with the command that adds it; or what a scan will take.

    Example: lungscan doctor --plan LIDC-IDRI-0001.zip
    """
    if plan is not None:
        _plan(plan, o.settings(series, weights, device, engine, precision, lung_gate, (None, None, None), None), as_json)
        return
    from lungscan.checkup import checkup

    rows = checkup()
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        mark = Text("ready", "green") if row.ready else Text("missing", "yellow")
        table.add_row(mark, row.name, Text(row.found if row.ready else f"{row.found}; {row.remedy}"))
    Console().print(table)


def _plan(path: Path, settings: Settings, as_json: bool) -> None:
    """Memory and time of a scan that is read, and of which one slab is segmented."""
    from dataclasses import asdict

    from lungscan.budget import budget
    from lungscan.pipeline import Networks
    from lungscan.readers import read

    networks = Networks.open(settings)
    volume, runs = read(path, settings.series), networks.segmentation
    needed = budget(volume, networks.weights.card, runs, lung_gate=settings.lung_gate)
    if as_json:
        import json

        with_what = {"engine": f"{runs.name} {runs.version}", "precision": runs.precision, "device": runs.device}
        typer.echo(json.dumps({"path": str(path), **with_what, **asdict(needed)}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    on_gpu = f"{_mb(needed.device_bytes)} at most, all of the scan" if runs.device == "cuda" else "none"
    spacing = " x ".join(f"{mm:.3g}" for mm in volume.grid.spacing_irc_mm)
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("scan", f"{' x '.join(map(str, needed.shape_irc))} voxels of {spacing} mm"),
        ("runs on", f"{runs.name} {runs.version}, {runs.precision}, {runs.device}"),
        ("time", f"about {needed.seconds:.1f} s after reading, by the time of one slab"),
        ("host memory", f"{_mb(needed.host_bytes)} at most"),
        ("device memory", on_gpu),
    ):
        table.add_row(name, Text(value))
    Console().print(table)


def _mb(number: int) -> str:
    return f"{number / 1e6:.0f} MB"
