"""What `scan --write KIND` writes: one function a kind, which writes into a folder and tells the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from lungscan.files import write_text
from lungscan.report.dicom_seg import write_seg
from lungscan.report.dicom_source import check_dicom_out, identity
from lungscan.report.dicom_sr import write_sr
from lungscan.report.html import write_html
from lungscan.report.json import to_json
from lungscan.report.markups import write_markups
from lungscan.report.overview import Pictured
from lungscan.report.pictures import write_png
from lungscan.report.tables import write_csv
from lungscan.report.volumes import write_mask, write_probability


def write_json(examined: Pictured, folder: Path, *, all_candidates: bool = False, with_identity: bool = False) -> list[Path]:
    """`report.json`: the contract."""
    path = folder / "report.json"
    text = to_json(
        examined.report,
        all_candidates=all_candidates,
        assessment=examined.assessment,
        comparison=examined.comparison,
        identity=identity(examined.volume) if with_identity else None,
    )
    write_text(path, text + "\n")
    return [path]


Writer = Callable[[Pictured, Path], Path | list[Path] | None]

WRITERS: dict[str, Writer] = {
    "json": write_json,
    "png": write_png,
    "html": write_html,
    "csv": write_csv,
    "nifti": partial(write_mask, suffix=".nii.gz"),
    "nrrd": partial(write_mask, suffix=".nrrd"),
    "mha": partial(write_mask, suffix=".mha"),
    "probability": partial(write_probability, suffix=".nii.gz"),
    "probability-nrrd": partial(write_probability, suffix=".nrrd"),
    "probability-mha": partial(write_probability, suffix=".mha"),
    "markups": write_markups,
    "seg": write_seg,
    "sr": write_sr,
}
"""The kinds, in the order in which the command line lists them."""

_DICOM = {"seg", "sr"}


def check(kinds: Iterable[str], path: Path) -> None:
    """Before the long work: raises a LungscanError when one of the kinds cannot be written from what `path` holds."""
    if _DICOM.intersection(kinds):
        check_dicom_out(path)


def write(
    kinds: Iterable[str], examined: Pictured, folder: Path, *, all_candidates: bool = False, with_identity: bool = False
) -> list[Path]:
    """Write each kind once into a folder that exists, and tell the files.

    with_identity : JSON and DICOM objects name the patient as the scan does
    """
    writers: dict[str, Writer] = {
        **WRITERS,
        "json": partial(write_json, all_candidates=all_candidates, with_identity=with_identity),
        "seg": partial(write_seg, with_identity=with_identity),
        "sr": partial(write_sr, with_identity=with_identity),
    }
    files: list[Path] = []
    for kind in dict.fromkeys(kinds):
        written = writers[kind](examined, folder)
        files += written if isinstance(written, list) else [written] if written is not None else []
    return list(dict.fromkeys(files))
