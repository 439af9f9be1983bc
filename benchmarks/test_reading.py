"""Reading a folder of uncompressed DICOM against SimpleITK's series reader, bit for bit."""

from __future__ import annotations

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


def test_read_dicom(faster: Compare, folder: Path) -> None:
    def plain() -> np.ndarray:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        return sitk.GetArrayFromImage(reader.Execute())

    faster(lambda: read(folder).hu, plain, same=np.testing.assert_array_equal, floor=3, rounds=7)
