"""`lungscan verify`: do all engines of this machine say the same?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o


def verify(
    weights: o.WeightsFile = None,
    on: Annotated[
        Path | None, typer.Option(help="The scan to compare on; a phantom when left out.", show_default=False)
    ] = None,
    as_json: o.AsJson = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Run a scan through every engine, precision and device of this machine, and show the largest differences.

    The reference is PyTorch in fp32 on the CPU, or the default engine in fp32 where PyTorch is not installed. Exits with 4
    when an engine brings or loses a nodule, or differs by more than its precision allows. Takes about ten seconds an engine.

    Example: lungscan verify
    """
    from lungscan.parity.verify import verify as run
    from lungscan.weights import load, shipped

    reference, checks = run(load(weights or shipped()), on)
    found = list(checks)
    if as_json:
        import json
        from dataclasses import asdict

        rows = [{**asdict(check), "holds": None if check.parity is None else check.parity.holds} for check in found]
        typer.echo(json.dumps({"reference": reference, "checks": rows}, indent=1))
    else:
        from rich.console import Console

        from lungscan.commands.parity_table import show

        show(found, reference, Console())
    if any(check.parts for check in found):
        raise typer.Exit(4)
