"""Index and patient coordinates, against SimpleITK and by moving marks."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from lungscan.volume import Grid
from tests.support import volume

OBLIQUE = Rotation.from_euler("xyz", [11, -7, 23], degrees=True).as_matrix()


@pytest.mark.parametrize("flips", list(itertools.product([1, -1], repeat=3)))
def test_positions_equal_simpleitk(flips: tuple[int, int, int]) -> None:
    direction = OBLIQUE @ np.diag(flips)
    grid = Grid((4, 5, 6), (2.5, 0.9, 0.5), (-10.0, 20.0, 30.5), direction)
    image = sitk.Image(6, 5, 4, sitk.sitkInt16)
    image.SetSpacing((0.5, 0.9, 2.5))
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(direction.ravel().tolist())
    for irc in ((0, 0, 0), (3, 4, 5), (1.25, 2.5, 0.75)):
        xyz = image.TransformContinuousIndexToPhysicalPoint(irc[::-1])
        np.testing.assert_allclose(grid.xyz(irc), xyz, atol=1e-9)
        np.testing.assert_allclose(grid.irc(xyz), irc, atol=1e-9)


def layouts() -> list[np.ndarray]:
    """Every way to lay three array axes along three patient axes, 48 in all."""
    return [
        np.eye(3)[:, list(order)] * signs
        for order in itertools.permutations(range(3))
        for signs in itertools.product([1, -1], repeat=3)
    ]


@pytest.mark.parametrize("layout", layouts())
def test_canonical_keeps_every_voxel_in_its_place(layout: np.ndarray) -> None:
    hu = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    made = volume(hu, (3.0, 0.5, 0.9), OBLIQUE @ layout)
    turned = made.canonical()
    assert np.shares_memory(turned.hu, made.hu)
    assert (np.diag(turned.grid.direction) > 0.8).all()
    at = np.stack(np.unravel_index(np.arange(hu.size), turned.hu.shape), axis=1)
    back = np.rint(made.grid.irc(turned.grid.xyz(at))).astype(int)
    np.testing.assert_array_equal(turned.hu[tuple(at.T)], hu[tuple(back.T)])


def test_a_box_covers_the_same_voxels_on_a_flipped_grid() -> None:
    made = volume(np.zeros((6, 7, 8), np.int16), (2.0, 1.0, 1.0), np.diag([-1.0, 1.0, -1.0]))
    turned = made.canonical().grid
    assert made.grid.cover(((1, 3), (2, 5), (0, 4)), turned) == ((3, 5), (2, 5), (4, 8))


def test_a_box_is_clamped_to_its_grid() -> None:
    fine = Grid((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    coarse = replace(fine, shape=(5, 5, 5), spacing_irc_mm=(2.0, 2.0, 2.0), origin_xyz_mm=(0.5, 0.5, 0.5))
    assert fine.cover(((1, 2), (0, 5), (4, 9)), coarse) == ((2, 4), (0, 10), (8, 10))


def test_the_hash_is_of_the_voxels_not_of_their_strides() -> None:
    hu = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    twisted = np.asfortranarray(hu)
    assert volume(hu).sha256() == replace(volume(hu), hu=twisted).sha256()
    assert volume(hu).sha256() != volume(hu[::-1]).sha256()
