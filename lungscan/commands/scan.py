"""`lungscan scan`: one scan, from files to a report."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o

if TYPE_CHECKING:
    from lungscan.pipeline import Examination


class Kind(StrEnum):
    """The kinds of `lungscan.report.writing`, told without loading what writes them."""

    json = "json"
    png = "png"
    html = "html"
    csv = "csv"
    nifti = "nifti"
    nrrd = "nrrd"
    mha = "mha"
    probability = "probability"
    probability_nrrd = "probability-nrrd"
    probability_mha = "probability-mha"
    markups = "markups"
    seg = "seg"
    sr = "sr"


def scan(
    context: typer.Context,
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
    max_memory: o.MaxMemory = None,
    as_json: o.AsJson = False,
    all_candidates: Annotated[bool, typer.Option("--all-candidates", help="Every candidate in the JSON.")] = False,
    write: Annotated[list[Kind] | None, typer.Option(help="Also write the report in this form.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for what is written; made if missing.")
    ] = None,
    patient: Annotated[
        Path | None,
        typer.Option(help="Facts of the patient (TOML or JSON): what guidelines say.", show_default=False),
    ] = None,
    prior: Annotated[
        Path | None, typer.Option(help="An earlier scan, or its JSON report, to compare with.", show_default=False)
    ] = None,
    months: Annotated[
        float | None,
        typer.Option(min=0.1, help="Months since then; by the files' dates when left out.", show_default=False),
    ] = None,
    with_identity: Annotated[
        bool, typer.Option("--with-identity", help="JSON and DICOM objects name the patient as the scan does.")
    ] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="Time and memory traffic of each stage.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Thumbnails of the nodules, in a terminal with colours.")] = False,
    fail_on_suspicious: Annotated[
        bool, typer.Option("--fail-on-suspicious", help="Exit with 10 when the patient is.")
    ] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Find the nodules of one chest CT and report them.

    Example: lungscan scan LIDC-IDRI-0001.zip --write html --write png -o report
    """
    from lungscan.commands.progress import bar
    from lungscan.errors import UsageError

    if write and output is None:
        raise UsageError("--write needs a folder to write into: give it with -o DIR.")
    if write and output is not None:
        from lungscan.lock import alone_in
        from lungscan.report import writing

        writing.check(write, path)
        _make(output)
        context.with_resource(alone_in(output))
    thresholds = (threshold_segmentation, threshold_nodule, threshold_malignancy)
    settings = o.settings(series, weights, device, engine, precision, lung_gate, thresholds, fp_per_scan, max_memory)

    examine = _examine(patient, prior, months)
    with bar(quiet=quiet) as progress:
        examination = examine(path, settings, progress)
    if as_json:
        _print_json(examination, all_candidates=all_candidates, with_identity=with_identity)
    else:
        _print(examination, thumbnails=show)
    if timeline:
        from rich.console import Console

        from lungscan import timeline as spans

        spans.show(spans.timeline(examination), Console(stderr=as_json))
    if write and output is not None:
        _write(write, examination, output, all_candidates=all_candidates, with_identity=with_identity)
    if fail_on_suspicious and examination.report.patient.suspicious:
        raise typer.Exit(10)


def _examine(patient: Path | None, prior: Path | None, months: float | None) -> Callable[..., Examination]:
    """The scan alone, or beside what is known of its patient; the patient's facts are read before the long work."""
    if patient is None and prior is None:
        from lungscan.pipeline import examine

        return examine
    from lungscan.clinical.patient import read_patient
    from lungscan.follow_up import examine as examine_beside

    facts = None if patient is None else read_patient(patient)
    return partial(examine_beside, patient=facts, prior=prior, months=months)


def _print_json(e: Examination, *, all_candidates: bool, with_identity: bool) -> None:
    from lungscan.report.json import to_json

    named = None
    if with_identity:
        from lungscan.report.dicom_source import identity

        named = identity(e.volume)
    told = to_json(e.report, all_candidates=all_candidates, assessment=e.assessment, comparison=e.comparison, identity=named)
    typer.echo(told)


def _print(e: Examination, *, thumbnails: bool) -> None:
    from rich.console import Console

    from lungscan.report import terminal

    console = Console()
    terminal.show(e.report, console)
    if e.comparison is not None:
        from lungscan.report import side_by_side

        console.print()
        side_by_side.show(e.comparison, console)
    if e.assessment is not None:
        from lungscan.report import guidelines

        console.print()
        guidelines.show(e.assessment, console)
    if thumbnails:
        from lungscan.report import thumbnails as pictures

        pictures.show(e, console)


def _make(folder: Path) -> None:
    """Before the long work, so that a folder that cannot be had costs no scan."""
    from lungscan.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder} cannot be a folder to write into: {error.strerror}.") from error


def _write(kinds: list[Kind], examination: Examination, folder: Path, *, all_candidates: bool, with_identity: bool) -> None:
    from lungscan import files
    from lungscan.report import writing

    with files.writing(folder):
        writing.write(kinds, examination, folder, all_candidates=all_candidates, with_identity=with_identity)
