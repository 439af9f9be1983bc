"""`lungscan explain`: why one place was kept or dropped."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from lungscan.commands import options as o


def explain(
    path: o.ScanPath,
    at: Annotated[str | None, typer.Option(help="Place in patient mm, LPS: X,Y,Z.", show_default=False)] = None,
    finding: Annotated[int | None, typer.Option(help="A finding's number in the report.", show_default=False)] = None,
    series: o.Series = None,
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
    """Tell the funnel for one place: each gate's value beside its threshold, and where it was kept or dropped.

    Example: lungscan explain LIDC-IDRI-0001.zip --at=-61.1,-72.7,-220.5
    """
    from lungscan.commands.progress import bar
    from lungscan.errors import UsageError

    if (at is None) == (finding is None):
        raise UsageError("give the place either as --at X,Y,Z or as --finding N.")
    place = None if at is None else _place(at)
    thresholds = (threshold_segmentation, threshold_nodule, threshold_malignancy)
    settings = o.settings(series, weights, device, engine, precision, lung_gate, thresholds, fp_per_scan)

    from lungscan.explanation import explain as run
    from lungscan.pipeline import examine

    with bar(quiet=quiet) as progress:
        examination = examine(path, settings, progress)
    if place is None:
        rows = {n.id: n for n in examination.report.candidates.all}
        if finding not in rows:
            raise UsageError(f"--finding {finding}: the scan has {len(rows)} candidates, counted from 1.")
        place = rows[finding].centre_xyz_mm
    explanation = run(examination, place)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(explanation), indent=1))
        return
    from rich.console import Console

    from lungscan.commands.funnel import show

    show(explanation, Console())


def _place(text: str) -> tuple[float, float, float]:
    from lungscan.errors import UsageError

    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise UsageError(f"--at {text} is not three numbers in mm, as in --at=62.3,-33.1,-98.4.")
    return x, y, z
