"""`lungscan scan`: one scan, from files to a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lungscan.commands import options as o


class Kind(StrEnum):
    json = "json"


def scan(
    path: o.ScanPath,
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
    all_candidates: Annotated[bool, typer.Option("--all-candidates", help="Every candidate in the JSON.")] = False,
    write: Annotated[list[Kind] | None, typer.Option(help="Also write the report in this form.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for what is written; made if missing.")
    ] = None,
    fail_on_suspicious: Annotated[
        bool, typer.Option("--fail-on-suspicious", help="Exit with 10 when the patient is.")
    ] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Find the nodules of one chest CT and report them.

    Example: lungscan scan LIDC-IDRI-0001.zip --json
    """
    from lungscan.commands.progress import bar
    from lungscan.errors import UsageError

    if write and output is None:
        raise UsageError("--write needs a folder to write into: give it with -o DIR.")
    if write and output is not None:
        _make(output)
    thresholds = (threshold_segmentation, threshold_nodule, threshold_malignancy)
    settings = o.settings(series, weights, device, engine, precision, lung_gate, thresholds, fp_per_scan)

    from lungscan.pipeline import scan as run
    from lungscan.report.json import to_json

    with bar(quiet=quiet) as progress:
        report = run(path, settings, progress)
    text = to_json(report, all_candidates=all_candidates)
    if as_json:
        typer.echo(text)
    else:
        from rich.console import Console

        from lungscan.report.terminal import show

        show(report, Console())
    for kind in dict.fromkeys(write or []):
        if output is not None:
            _write(output / f"report.{kind.value}", text + "\n")
    if fail_on_suspicious and report.patient.suspicious:
        raise typer.Exit(10)


def _make(folder: Path) -> None:
    """Before the long work, so that a folder that cannot be had costs no scan."""
    from lungscan.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder} cannot be a folder to write into: {error.strerror}.") from error


def _write(file: Path, text: str) -> None:
    from lungscan.errors import UsageError
    from lungscan.files import write_text

    try:
        write_text(file, text)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
