"""Grouping: what a threshold may and may not do, thin nodules, the lung gate, sizes and centres of known balls."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lungscan.stages.group import group
from lungscan.stages.segment import Heatmap
from lungscan.volume import Grid, Volume
from lungscan.weights.card import GroupingCard
from tests.support import small_card, volume

SHAPE = (14, 40, 44)


def heatmap(values: np.ndarray, on: Volume) -> Heatmap:
    return Heatmap(values.astype(np.float32), tuple((0, n) for n in values.shape), on.grid)


def noise(seed: int) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 1.3)
    return (0.25 + smooth / smooth.std() * 0.2).clip(0, 0.999)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    thresholds=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)),
    cleanup=st.sampled_from(["erosion", "none"]),
    connectivity=st.sampled_from([6, 18, 26]),
    minimum=st.sampled_from([0.0, 6.0]),
    outline=st.sampled_from([0.0, 0.9]),
)
def test_lowering_the_threshold_never_removes_a_candidate(
    seed: int, thresholds: tuple[float, float], cleanup: str, connectivity: int, minimum: float, outline: float
) -> None:
    low, high = sorted(thresholds)
    made = volume(np.full(SHAPE, -300, np.int16))
    card = replace(small_card(), grouping=GroupingCard(cleanup, connectivity, minimum, outline))
    few = group(heatmap(noise(seed), made), made, None, card, high).rows()
    many = group(heatmap(noise(seed), made), made, None, card, low).rows()
    assert set(few) <= set(many)


def test_at_the_cards_threshold_candidates_are_the_components_of_the_mask() -> None:
    made = volume(np.full(SHAPE, -300, np.int16))
    values = noise(3).astype(np.float32)
    found = group(heatmap(values, made), made, None, small_card(), 0.5).rows()
    labels, count = ndimage.label(values > 0.5, np.ones((3, 3, 3)))
    assert [c.voxels for c in found] == np.bincount(labels.ravel())[1:].tolist()
    assert count == len(found) > 5


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.69])
def test_the_outline_is_the_card_s_whatever_the_threshold(threshold: float) -> None:
    """A heatmap that falls off by 0.1 a voxel from 0.9: over 7/9 of its peak lie the voxels within 2 of the middle."""
    distance = np.linalg.norm(np.stack(np.indices(SHAPE), axis=-1) - (7, 20, 22), axis=-1)
    made = volume(np.full(SHAPE, -300, np.int16))
    card = replace(small_card(), grouping=GroupingCard("none", 26, 0.0, 7 / 9 - 1e-6))
    (found,) = group(heatmap((0.9 - 0.1 * distance).clip(0), made), made, None, card, threshold).rows()
    assert found.voxels == (distance <= 2).sum()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thickness", [1, 2])
def test_a_thin_nodule_survives_without_erosion_and_dies_with_it(axis: int, thickness: int) -> None:
    values = np.zeros(SHAPE)
    cut = [slice(4, 10)] * 3
    cut[axis] = slice(5, 5 + thickness)
    values[tuple(cut)] = 0.9
    made = volume(np.full(SHAPE, 20, np.int16))
    ours = replace(small_card(), grouping=GroupingCard("none", 26, 0.0, 0.0))
    book = replace(small_card(), grouping=GroupingCard("erosion", 6, 0.0, 0.0))
    assert len(group(heatmap(values, made), made, None, ours, 0.5).rows()) == 1
    assert len(group(heatmap(values, made), made, None, book, 0.5).rows()) == 0


def test_a_ball_has_its_diameter_volume_and_centre() -> None:
    """10 mm across, on a grid of 1.0 x 0.5 x 0.5 mm."""
    spacing = (1.0, 0.5, 0.5)
    grid = np.stack(np.indices((16, 48, 48)), axis=-1) * spacing
    centre = np.array([7.3, 11.1, 12.4])
    inside = np.linalg.norm(grid - centre, axis=-1) <= 5
    made = volume(np.where(inside, 40, -850), spacing)
    (ball,) = group(heatmap(inside * 0.9, made), made, None, small_card(), 0.5).rows()
    assert ball.volume_mm3 == pytest.approx(4 / 3 * math.pi * 5**3, rel=0.03)
    assert ball.diameter_mm == pytest.approx(10, rel=0.01)
    assert np.linalg.norm(np.asarray(ball.centre_xyz_mm)[::-1] - centre) < 0.3
    assert (ball.hu_mean, ball.hu_max) == (40, 40)


def test_the_centre_leans_to_the_dense_side() -> None:
    hu = np.full(SHAPE, -900)
    hu[5, 5, 10:14] = [-1000, -1000, -1000, 400]
    values = np.zeros(SHAPE)
    values[5, 5, 10:14] = 0.8
    made = volume(hu)
    (found,) = group(heatmap(values, made), made, None, small_card(), 0.5).rows()
    assert found.centre_irc[2] == pytest.approx((10 * 1 + 11 * 1 + 12 * 1 + 13 * 1401) / 1404)


@dataclass(frozen=True)
class LeftOf:
    """Lungs that fill the patient's space below an x."""

    x: float

    def on(self, grid: Grid) -> np.ndarray:
        return np.broadcast_to(grid.xyz(np.stack(np.indices(grid.shape), axis=-1))[..., 0] < self.x, grid.shape)


def test_a_candidate_that_touches_the_lungs_is_kept_whole() -> None:
    values = np.zeros(SHAPE)
    values[4:7, 4:7, 8:20] = 0.9  # reaches over the edge at 10
    values[4:7, 20:23, 30:34] = 0.9  # lies outside
    made = volume(np.zeros(SHAPE, np.int16))
    found = group(heatmap(values, made), made, LeftOf(10.0), small_card(), 0.5).rows()
    assert [c.voxels for c in found] == [3 * 3 * 12]


def test_a_heatmap_of_a_part_gives_the_same_candidates() -> None:
    values = np.zeros(SHAPE)
    values[5:8, 12:16, 20:25] = 0.9
    made = volume(np.random.default_rng(0).integers(-900, 100, SHAPE), (2.0, 0.7, 0.7))
    box = ((3, 12), (10, 30), (11, 40))
    part = Heatmap(values[tuple(slice(*b) for b in box)].astype(np.float32), box, made.grid.part(box))
    whole = group(heatmap(values, made), made, None, small_card(), 0.5).rows()
    (of_part,), (of_whole,) = group(part, made, None, small_card(), 0.5).rows(), whole
    assert of_part.centre_xyz_mm == pytest.approx(of_whole.centre_xyz_mm)
    assert (of_part.box_irc, of_part.hu_mean) == (of_whole.box_irc, of_whole.hu_mean)
