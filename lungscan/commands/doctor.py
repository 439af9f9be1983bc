"""`lungscan doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

import typer

from lungscan.commands import options as o


def doctor(as_json: o.AsJson = False) -> None:
    """Say what this machine can run and what is missing, with the command that adds it.

    Example: lungscan doctor
    """
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
