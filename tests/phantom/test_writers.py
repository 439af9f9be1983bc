"""Every format and orientation holds the same voxels at the same patient positions, as SimpleITK reads them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from lungscan.errors import UsageError
from lungscan.phantom import Phantom, make_chest
from lungscan.phantom.writers import SUFFIXES, orient, write
from lungscan.volume import Volume

FLIPS = ["".join(code) for code in itertools.product("LR", "PA", "SI")]
CODES = ["".join(letters) for code in FLIPS for letters in itertools.permutations(code)]


@pytest.fixture(scope="module")
def chest() -> Phantom:
    """An oblique scan: formats that round the direction would show."""
    phantom = make_chest(1, 3, spacing_irc_mm=(7.0, 5.0, 4.5))
    assert not np.allclose(phantom.volume.grid.direction, np.eye(3))
    return phantom


def read_with_simpleitk(path: Path) -> sitk.Image:
    if not path.is_dir():
        return sitk.ReadImage(str(path))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    return reader.Execute()


def assert_same_places(image: sitk.Image, volume: Volume) -> None:
    """At 300 voxels' patient positions the file holds the voxels' HU; it has as many voxels as the volume."""
    assert image.GetNumberOfPixels() == volume.hu.size
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.integers(n, size=300) for n in volume.hu.shape])
    for irc in places:
        xyz = volume.grid.xyz(irc)
        index = image.TransformPhysicalPointToContinuousIndex(xyz.tolist())
        nearest = [round(v) for v in index]
        offset = np.abs(np.subtract(index, nearest)) * image.GetSpacing()
        assert offset.max() < 0.01
        assert image.GetPixel(nearest) == volume.hu[tuple(irc)]


@pytest.mark.parametrize("file_format", SUFFIXES)
@pytest.mark.parametrize("code", [*FLIPS, "SPL", "AIR"])
def test_positions_survive_format_and_orientation(chest: Phantom, tmp_path: Path, file_format: str, code: str) -> None:
    path = write(orient(chest.volume, code), tmp_path, file_format)
    assert_same_places(read_with_simpleitk(path), chest.volume)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("code", CODES)
def test_all_48_codes_name_where_the_indices_grow(chest: Phantom, code: str) -> None:
    oriented = orient(chest.volume, code)
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(oriented.grid.direction.ravel().tolist()) == code
    back = orient(oriented, "LPS")
    np.testing.assert_array_equal(back.hu, chest.volume.hu)
    np.testing.assert_allclose(back.grid.origin_xyz_mm, chest.volume.grid.origin_xyz_mm, atol=1e-9)


@pytest.mark.parametrize("code", ["", "LP", "LRS", "LPSS", "XYZ", "lps"])
def test_a_wrong_code_is_refused(chest: Phantom, code: str) -> None:
    with pytest.raises(UsageError, match="orientation"):
        orient(chest.volume, code)


@pytest.mark.parametrize("file_format", SUFFIXES)
def test_the_same_volume_gives_the_same_bytes(chest: Phantom, tmp_path: Path, file_format: str) -> None:
    def contents(name: str) -> dict[str, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        write(chest.volume, folder, file_format)
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert contents("a") == contents("b")


def test_dicom_written_anew_leaves_no_old_slices(chest: Phantom, tmp_path: Path) -> None:
    write(orient(chest.volume, "SPL"), tmp_path, "dicom")
    path = write(chest.volume, tmp_path, "dicom")
    assert len(list(path.iterdir())) == len(chest.volume.hu)


def test_dicom_is_a_ct_series(chest: Phantom, tmp_path: Path) -> None:
    import pydicom

    path = write(chest.volume, tmp_path, "dicom", patient="PHANTOM^3")
    slices = [pydicom.dcmread(p) for p in sorted(path.iterdir())]
    assert len({s.SOPInstanceUID for s in slices}) == len(slices)
    assert {s.SeriesInstanceUID for s in slices} == {chest.volume.source.series_uid}
    first = slices[0]
    assert (first.Modality, first.BitsStored, first.RescaleSlope, first.RescaleIntercept) == ("CT", 12, 1, -1024)
    assert str(first.PatientName) == "PHANTOM^3"
    np.testing.assert_array_equal(first.pixel_array.astype(int) - 1024, chest.volume.hu[0])
    for value in (s[tag].value for s in slices for tag in ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")):
        assert pydicom.uid.UID(value).is_valid
