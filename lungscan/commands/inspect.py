"""`lungscan inspect`: what a file or folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders or zips.", show_default=False)],
    as_json: o.AsJson = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Show the series in files or folders: geometry, kernel, HU range, warnings, and why one cannot be read.

    Exits with 3 when none of them can be read.

    Example: lungscan inspect scans/patient-1 scan.mhd
    """
    from lungscan.readers import inspect as run

    series = [facts for path in paths for facts in run(path)]
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(facts) for facts in series], indent=1))
    else:
        from rich.console import Console

        from lungscan.report.series import show

        show(series, Console())
    if all(facts.refusal for facts in series):
        raise typer.Exit(3)
