"""`lungscan compare`: an earlier scan beside a newer one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o

_KINDS = "the files of a scan, or the JSON report of one whose files are still there."


def compare(
    prior: Annotated[Path, typer.Argument(metavar="PRIOR", help=f"The earlier scan: {_KINDS}", show_default=False)],
    now: Annotated[Path, typer.Argument(metavar="NOW", help="The newer scan, likewise.", show_default=False)],
    months: Annotated[
        float | None,
        typer.Option(min=0.1, help="Months between the scans; by their files' dates when left out.", show_default=False),
    ] = None,
    weights: o.WeightsFile = None,
    device: o.DeviceOption = o.Device.auto,
    engine: o.EngineOption = o.EngineName.auto,
    precision: o.PrecisionOption = o.Precision.auto,
    lung_gate: o.LungGate = True,
    threshold_segmentation: o.Segmentation = None,
    threshold_nodule: o.Nodule = None,
    threshold_malignancy: o.Malignancy = None,
    fp_per_scan: o.FpPerScan = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Tell what became of each nodule between two scans: new, stable, growing, shrinking or gone.

    Both scans are examined by the same networks, their lungs aligned and their nodules matched one to one.

    Example: lungscan compare 2023.zip 2024.zip --months 12
    """
    from lungscan.commands.progress import bar

    thresholds = (threshold_segmentation, threshold_nodule, threshold_malignancy)
    settings = o.settings(None, weights, device, engine, precision, lung_gate, thresholds, fp_per_scan)

    from lungscan.follow_up import compare as run

    with bar(quiet=quiet) as progress:
        comparison = run(prior, now, settings, months, progress)
    if as_json:
        import json

        from lungscan.comparison.document import to_dict

        typer.echo(json.dumps(to_dict(comparison), indent=2, allow_nan=False))
        return
    from rich.console import Console

    from lungscan.report.side_by_side import show

    show(comparison, Console())
