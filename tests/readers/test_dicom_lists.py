"""Which images of a folder make the scan: what careless readers stack, stretch or drop in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from lungscan.errors import InputRefused
from lungscan.readers import read
from tests.readers.files import SERIES, chest_like, dicom_folder

HU = chest_like()


def codes(folder: Path) -> set[str]:
    return {notice.code for notice in read(folder).notices}


def test_a_gap_names_the_positions_on_both_sides(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, k: setattr(ds, "ImageComments", "skip" if k == 9 else ""))
    with pytest.raises(InputRefused, match=r"missing between 70\.12 and 80\.12 mm"):
        read(folder)


def test_two_images_of_one_uid_that_differ_are_refused(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    again = pydicom.dcmread(sorted(folder.iterdir())[4])
    again.PixelData = bytes(len(again.PixelData))
    again.save_as(folder / "again")
    with pytest.raises(InputRefused, match="one position"):
        read(folder)


@pytest.mark.parametrize("attribute", ["AcquisitionNumber", "ConvolutionKernel", "ImageType", "Exposure"])
def test_two_passes_over_the_same_positions_are_told_apart(tmp_path: Path, attribute: str) -> None:
    other = {"AcquisitionNumber": 2, "ConvolutionKernel": "B70f", "ImageType": ["ORIGINAL", "PRIMARY", "X"], "Exposure": "9"}
    folder = dicom_folder(tmp_path / "ct", HU)
    dicom_folder(tmp_path / "b", HU[:17] // 2, lambda ds, _: setattr(ds, attribute, other[attribute]))
    for file in (tmp_path / "b").iterdir():
        shutil.copy(file, folder / f"b{file.name}")
    np.testing.assert_array_equal(read(folder).hu, HU)
    assert "several-passes" in codes(folder)


def test_an_acquisition_number_a_slice_is_one_scan(tmp_path: Path) -> None:
    """Step and shoot."""
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, k: setattr(ds, "AcquisitionNumber", k))
    np.testing.assert_array_equal(read(folder).hu, HU)
    assert codes(folder) == set()


@pytest.mark.parametrize("names", [str, lambda k: f"{20 - k}", lambda k: f"IM{k:04d}"], ids=["1-10-2", "reversed", "padded"])
def test_names_do_not_order_slices(tmp_path: Path, names: object) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    for file in list(folder.iterdir()):
        place = float(pydicom.dcmread(file).ImagePositionPatient[2])
        file.rename(tmp_path / names(round((place - 30.125) / 5)))  # type: ignore[operator]
    folder.rmdir()
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.hu, HU)
    np.testing.assert_allclose(volume.grid.xyz([7, 0, 0]), [-100.5, -90.25, 65.125])


@pytest.mark.parametrize("position", ["FFS", "FFP", "HFDR", ""])
def test_the_patient_s_position_on_the_table_flips_nothing(tmp_path: Path, position: str) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, _: setattr(ds, "PatientPosition", position))
    np.testing.assert_allclose(read(folder).grid.xyz([0, 0, 1]), [-100.5 + 1.35, -90.25, 30.125])


def test_a_single_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="single slice"):
        read(dicom_folder(tmp_path / "ct", HU[:1]))


@pytest.mark.parametrize(("keyword", "value"), [("PatientID", "b"), ("FrameOfReferenceUID", "1.9")])
def test_two_patients_or_frames_in_one_series_are_refused(tmp_path: Path, keyword: str, value: str) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if k >= 10:
            setattr(ds, keyword, value)

    with pytest.raises(InputRefused, match=r"more than one patient|frames of reference"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_the_series_not_read_are_named(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "a", HU[:16], series="1.2.1")
    dicom_folder(tmp_path / "b", HU)
    volume = read(tmp_path)
    assert volume.source.series_uid == SERIES
    assert volume.source.skipped_series == ("1.2.1 (CT, 16)",)
