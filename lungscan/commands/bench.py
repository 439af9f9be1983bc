"""`lungscan bench`: how near this machine comes to what its memory allows."""

from __future__ import annotations

import typer

from lungscan.commands import options as o


def bench(
    device: o.DeviceOption = o.Device.auto,
    as_json: o.AsJson = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Time the stages and kernels of a scan on a phantom, each beside the least that memory must move.

    Results are checked before a time is taken. Takes about half a minute.

    Example: lungscan bench
    """
    from lungscan.benchmark import bench as run

    told = run(device.value)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(told), indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("stage or kernel", no_wrap=True)
    for name in ("ms", "MB at least", "GB/s", "times its floor"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in told.rows:
        table.add_row(row.name, f"{row.ms:.2f}", f"{row.moved_bytes / 1e6:.1f}", f"{row.gb_s:.2f}", f"{row.times_floor:.1f}")
    console = Console()
    console.print(table)
    console.print(
        Text(
            f"{told.engine}, {told.precision}, {told.device}; floor: these bytes at {told.peak.bytes_s / 1e9:.3g} GB/s "
            f"({told.peak.source})",
            "dim",
        )
    )
