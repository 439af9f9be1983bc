"""Where voxels lie: positions alone decide, to the number; a tilt is undone, and what is no grid is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from lungscan.errors import InputRefused
from lungscan.readers import read
from lungscan.readers.dicom_shear import Shear
from lungscan.volume import Grid
from tests.readers.files import SHAPE, chest_like, dicom_folder

HU = chest_like()
Edit = Callable[[Dataset, int], None]


def always(**values: object) -> Edit:
    """Values that pydicom would not set (too long, with a comma, no number) go in as they are."""

    def edit(ds: Dataset, _: int) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            elif isinstance(value, str) and keyword in ds:
                ds[keyword]._value = value
            else:
                setattr(ds, keyword, value)

    return edit


HARMLESS = {
    "a thickness that is not the step": always(SliceThickness=2),
    "a wrong step": always(SpacingBetweenSlices=1),
    "a negative step": always(SpacingBetweenSlices=-5),
    "a step of 0": always(SpacingBetweenSlices=0),
    "a tilt that no position shows": always(GantryDetectorTilt=12),
    "17 digits": always(PixelSpacing="1.4000000000000001\\1.3500000000000001"),
    "25 digits and exponents": always(PixelSpacing="1.400000000000000000000000\\135E-2"),
    "lengths of nearly 1": always(ImageOrientationPatient=[1.0004, 0, 0, 0, 0.9996, 0]),
    "positions to 2 decimals": lambda ds, k: setattr(ds, "ImagePositionPatient", [-100.5, -90.25, round(30.125 + 5 * k, 2)]),
}


@pytest.mark.parametrize("name", list(HARMLESS))
@pytest.mark.filterwarnings("ignore:Invalid value for VR|.*exceeds the maximum length")
def test_what_does_not_move_a_voxel(tmp_path: Path, name: str) -> None:
    volume = read(dicom_folder(tmp_path / "ct", HU, HARMLESS[name]))
    np.testing.assert_array_equal(volume.hu, HU)
    np.testing.assert_allclose(volume.grid.xyz([19, 2, 3]), [-100.5 + 4.05, -90.25 + 2.8, 125.125], atol=0.01)


def uneven(ds: Dataset, k: int) -> None:
    ds.ImagePositionPatient = [-100.5, -90.25, 30.125 + (5 * k if k < 10 else 50 + 6 * (k - 10))]


REFUSED = {
    "steps of 5, then of 6 mm": (uneven, r"from 5.00 to 6.00 mm, first between 80.12 and 86.12|75.12 and 80.12"),
    "directions of 0": (always(ImageOrientationPatient=[0] * 6), "perpendicular unit"),
    "directions that are no number": (always(ImageOrientationPatient="nan\\0\\0\\0\\1\\0"), "not 6 numbers"),
    "five numbers of direction": (always(ImageOrientationPatient="1\\0\\0\\0\\1"), "not 6 numbers"),
    "directions not at right angles": (always(ImageOrientationPatient=[1, 0, 0, 0.05, 0.99875, 0]), "perpendicular"),
    "directions twice as long": (always(ImageOrientationPatient=[2, 0, 0, 0, 2, 0]), "unit vectors"),
    "no direction": (always(ImageOrientationPatient=None), "ImageOrientationPatient is missing"),
    "no pixel spacing": (always(PixelSpacing=None), "PixelSpacing is missing"),
    "the detector's spacing alone": (always(PixelSpacing=None, ImagerPixelSpacing=[1, 1]), "PixelSpacing is missing"),
    "a pixel spacing of 0": (always(PixelSpacing=[0, 0]), "no size"),
    "a negative pixel spacing": (always(PixelSpacing=[-1.4, 1.35]), "no size"),
    "an empty pixel spacing": (always(PixelSpacing=""), "PixelSpacing is missing"),
    "one pixel spacing": (always(PixelSpacing="1.4"), "not 2 numbers"),
    "pixels of 20 mm": (always(PixelSpacing=[20, 20]), "no chest CT has"),
    "decimal commas": (always(PixelSpacing="1,4\\1,35"), "not 2 numbers"),
    "commas in positions": (always(ImagePositionPatient="-10,5\\-20,5\\3,5"), "not 3 numbers"),
    "an empty position": (always(ImagePositionPatient=""), "ImagePositionPatient is missing"),
    "two numbers of position": (always(ImagePositionPatient="1\\2"), "not 3 numbers"),
    "a position that is no number": (always(ImagePositionPatient="1\\2\\nan"), "not 3 numbers"),
    "a position beyond any room": (always(ImagePositionPatient="1\\2\\1e300"), "not 3 numbers"),
    "one position for all": (always(ImagePositionPatient=[0, 0, 0]), "one position"),
    "no position": (always(ImagePositionPatient=None), "ImagePositionPatient is missing"),
}


@pytest.mark.parametrize("name", list(REFUSED))
@pytest.mark.filterwarnings("ignore:Invalid value for VR|.*exceeds the maximum length")
def test_what_does_not_place_a_voxel(tmp_path: Path, name: str) -> None:
    edit, reason = REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def ramp(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """HU that are linear in patient millimetres, so that linear interpolation is exact but for rounding."""
    return np.asarray(-520 + 2.0 * x + 2.0 * y + z)


@pytest.mark.parametrize("degrees", [-20, 1, 7.5, 15, 30])
@pytest.mark.parametrize("turn", [0.0, 8.0])
def test_a_tilted_gantry_is_set_right_by_true_positions(tmp_path: Path, degrees: float, turn: float) -> None:
    """Slices whose planes lean by the tilt, moved by the table along z: every voxel shows what lies at its own place.

    Beside the tilt, a turn about z brings the shear into rows and columns alike.
    """
    axes = Rotation.from_euler("ZX", [turn, degrees], degrees=True).as_matrix()
    r, c = axes[:, 0], axes[:, 1]
    origin = np.array([-100.5, -90.25, 30.125])
    i, j, k = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    xyz = origin + k[..., None] * 1.35 * r + j[..., None] * 1.4 * c + i[..., None] * np.array([0, 0, 5.0])
    hu = np.rint(ramp(*np.moveaxis(xyz, -1, 0))).astype(np.int16)

    def edit(ds: Dataset, at: int) -> None:
        ds.ImagePositionPatient = [f"{v:.6f}" for v in origin + np.array([0, 0, 5.0 * at])]

    volume = read(dicom_folder(tmp_path / "ct", hu, edit, axes=axes))
    assert [n.code for n in volume.notices if n.code == "tilt"] == ["tilt"]
    grid = volume.grid
    np.testing.assert_allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-12)
    where = np.argwhere(volume.hu > -1024)
    where = where[np.random.default_rng(0).permutation(len(where))[:20_000]]
    inner = ((where[:, 1:] > 2) & (where[:, 1:] < np.array(grid.shape[1:]) - 3)).all(axis=1)
    error = volume.hu[tuple(where.T)] - ramp(*grid.xyz(where).T)
    assert (np.abs(error) <= 1.01).mean() > 0.97  # the rest are at the rim, half slice and half air
    assert inner.any()
    for corner in ((0, 0, 0), (19, 159, 149), (0, 159, 0), (19, 0, 149)):
        true = origin + corner[2] * 1.35 * r + corner[1] * 1.4 * c + np.array([0, 0, 5.0 * corner[0]])
        at = grid.irc(true)
        assert (at > -0.51).all()
        assert (at < np.array(grid.shape) - 0.49).all()


def test_a_shear_by_whole_pixels_moves_values_unchanged() -> None:
    grid = Grid((4, 6, 5), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    shear = Shear.of(grid, (2.0, -1.0))
    assert shear.grid.shape == (4, 12, 8)
    plane = np.arange(30, dtype=np.int16).reshape(6, 5)
    out = np.empty(shear.grid.shape[1:], np.int16)
    shear.put(3, plane, out)
    np.testing.assert_array_equal(out[6:12, 0:5], plane)
    assert (np.delete(out, np.s_[6:12], 0) == -1024).all()
    np.testing.assert_allclose(shear.grid.xyz((3, 6, 0)), [-3, 6, 15])
