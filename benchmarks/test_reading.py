"""Reading a folder of uncompressed DICOM against SimpleITK's series reader, bit for bit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from benchmarks.conftest import Compare
from lungscan.readers import read
from tests.readers.files import dicom_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of 96 slices of 512 x 512."""
    rng = np.random.default_rng(0)
    hu = np.full((96, 512, 512), 40, np.int16)
    hu[:, 100:400, 100:400] = -850
    hu += rng.integers(-20, 21, hu.shape, dtype=np.int16)

    def fine(ds: Dataset, _: int) -> None:
        ds.PixelSpacing = [0.7, 0.7]

    return dicom_folder(tmp_path_factory.mktemp("series"), hu, fine)


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """LIDC-IDRI-0001: 133 slices of 512 x 512, unpacked."""
    there = tmp_path_factory.mktemp("lidc")
    with zipfile.ZipFile(data / "lidc" / "LIDC-IDRI-0001.zip") as archive:
        for number, member in enumerate(m for m in archive.namelist() if m.endswith(".dcm")):
            (there / str(number)).write_bytes(archive.read(member))
    return there


def plain(folder: Path) -> np.ndarray:
    """SimpleITK's series reader; HU under -1024, the scanner's padding, as lungscan has them."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.GetArrayFromImage(reader.Execute())


def same(ours: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(ours, np.maximum(expected, -1024))


def test_read_dicom(faster: Compare, folder: Path) -> None:
    faster(lambda: read(folder).hu, lambda: plain(folder), same=same, floor=2.5, rounds=7)


def test_read_dicom_of_a_scanner(faster: Compare, real_folder: Path) -> None:
    faster(lambda: read(real_folder).hu, lambda: plain(real_folder), same=same, floor=2.5, rounds=7)
