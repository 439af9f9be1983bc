"""The registry of what can be written: the command line's kinds, the files of each, and the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungscan.commands.scan import Kind
from lungscan.errors import UsageError
from lungscan.report.writing import WRITERS, check, write
from tests.report.made import made

FILES = {
    "json": ["report.json"],
    "png": ["overview.png", "nodule-1.png", "nodule-2.png"],
    "html": ["report.html"],
    "csv": ["nodules.csv"],
    "nifti": ["nodules.nii.gz"],
    "nrrd": ["nodules.nrrd"],
    "mha": ["nodules.mha"],
    "probability": ["probability.nii.gz"],
    "probability-nrrd": ["probability.nrrd"],
    "probability-mha": ["probability.mha"],
    "markups": ["nodules.mrk.json"],
}
DICOM = {"seg", "sr"}


def test_the_command_line_knows_every_kind() -> None:
    assert [kind.value for kind in Kind] == list(WRITERS) == [*FILES, *sorted(DICOM)]


@pytest.mark.parametrize("kind", FILES)
def test_a_kind_writes_its_files_and_tells_them(kind: str, tmp_path: Path) -> None:
    assert [path.name for path in write([kind, kind], made(), tmp_path)] == FILES[kind]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == sorted(FILES[kind])
    assert all(before.values())
    write([kind], made(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", sorted(DICOM))
def test_dicom_belongs_to_dicom(kind: str, tmp_path: Path) -> None:
    """Told before the scan, by the path alone."""
    pytest.importorskip("highdicom")
    (tmp_path / "made.mhd").write_text("NDims = 3\n")
    with pytest.raises(UsageError):
        check(["json", kind], tmp_path / "made.mhd")
    check(FILES, tmp_path / "made.mhd")


def test_all_candidates_are_in_the_file_when_asked_for(tmp_path: Path) -> None:
    for asked in (False, True):
        (path,) = write(["json"], made(), tmp_path, all_candidates=asked)
        assert ('"all"' in path.read_text()) == asked
