"""Painted nodules against geometry: size, density, place; and scanners against what they do to a known image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from lungscan.recipe import painting
from lungscan.recipe.painting import SIZES_MM, paint, rescanned, sites
from lungscan.recipe.shapes import Shape
from lungscan.volume import Grid

OF_EVERY_SIZE = (5, 8, 14, 22, 34, 48)
GRID = Grid((60, 110, 110), (2.0, 1.25, 1.25), (0.0, 0.0, 0.0), np.eye(3))
AIR = -850


def ball(diameter_mm: float, hu: float | None = None) -> Shape:
    """A sphere on a grid of 1 mm; with its own density when one is given."""
    side = int(diameter_mm) + 11
    at = np.stack(np.indices((side, side, side)), axis=-1) - (side - 1) / 2
    distance = (diameter_mm / 2 - np.linalg.norm(at, axis=-1)).astype(np.float32)
    own = None if hu is None else np.where(distance > 0, hu, -1000).astype(np.float32)
    return Shape("P", distance, (1.0, 1.0, 1.0), diameter_mm, margin=5, texture=5, malignancy=4, hu=own)


def chest() -> tuple[np.ndarray, np.ndarray]:
    """Air with a wall of soft tissue around it."""
    hu = np.full(GRID.shape, 40, np.int16)
    hu[4:-4, 8:-8, 8:-8] = AIR
    lungs = np.zeros(GRID.shape, bool)
    lungs[3:-3, 7:-7, 7:-7] = True
    return hu, lungs


def test_what_is_drawn_is_as_large_and_as_dense_as_it_says() -> None:
    hu, lungs = chest()
    label = np.zeros(GRID.shape, np.uint8)
    shapes = [ball(d) for d in OF_EVERY_SIZE]
    drawn = paint(hu, label, GRID, sites(hu, lungs, GRID), shapes, 12, np.random.default_rng(0))
    assert len(drawn) > 6
    for number, nodule in enumerate(drawn, start=1):
        voxels = label == number
        assert (6 * voxels.sum() * GRID.voxel_mm3 / np.pi) ** (1 / 3) == pytest.approx(nodule.diameter_mm)
        np.testing.assert_allclose(GRID.xyz(np.argwhere(voxels).mean(axis=0)), nodule.centre_xyz_mm)
        assert nodule.ratings == (4,)
        middle = ndimage.binary_erosion(voxels)
        if middle.any():
            assert hu[middle].mean() > -200  # solid
    assert (hu[label == 0] < -200).sum() > 0.8 * (np.asarray(lungs) & (label == 0)).sum()  # the lungs stay air


def test_a_nodule_that_was_cut_out_keeps_its_density(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "CUT", 1.0)
    shapes = [ball(d, hu=-333.0) for d in np.arange(4, 60, 2.0)]
    hu, lungs = chest()
    label = np.zeros(GRID.shape, np.uint8)
    assert paint(hu, label, GRID, sites(hu, lungs, GRID), shapes, 12, np.random.default_rng(3))
    deep = ndimage.binary_erosion(label > 0, iterations=2)
    assert deep.any()
    assert hu[deep] == pytest.approx(-333, abs=5)


def test_nodules_keep_clear_of_what_is_labelled() -> None:
    hu, lungs = chest()
    label = np.zeros(GRID.shape, np.uint8)
    label[20:40, 30:80, 30:80] = 1
    before = label.copy()
    paint(hu, label, GRID, sites(hu, lungs, GRID), [ball(d) for d in OF_EVERY_SIZE], 10, np.random.default_rng(1))
    np.testing.assert_array_equal(label[before == 1], 1)
    assert label.max() > 1


def test_the_shares_of_sizes_make_one() -> None:
    assert sum(share for *_, share in SIZES_MM) == pytest.approx(1)


def test_ground_glass_is_no_solid() -> None:
    hu, lungs = chest()
    label = np.zeros(GRID.shape, np.uint8)
    glass = [replace(ball(d), texture=1) for d in OF_EVERY_SIZE]
    paint(hu, label, GRID, sites(hu, lungs, GRID), glass, 10, np.random.default_rng(2))
    deep = ndimage.binary_erosion(label > 0)
    assert -800 < np.median(hu[deep]) < -350


def test_another_scanner_keeps_what_is_large_and_moves_nothing() -> None:
    hu, _ = chest()
    for seed in range(12):
        out = rescanned(hu, 2.0, np.random.default_rng(seed)).astype(float)
        inner = (slice(16, -16), slice(20, -20), slice(20, -20))
        assert out[inner].mean() == pytest.approx(AIR, abs=3)
        half = out[:, 55, 55] > -400  # the wall stays where it is, within a thick slice
        assert np.flatnonzero(~half)[0] == pytest.approx(4, abs=2)
