"""The miss tracer: a nodule of 10 mm is taken away from one stage after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungscan.evaluation.misses import lost_by
from lungscan.findings import Candidate, Thresholds
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Grid

CENTRE = (-5.0, 30.0, 112.0)  # x = -20 + C, y = 10 + R, z = 100 + 2 I: voxel (6, 20, 15)
THRESHOLDS = Thresholds(segmentation=0.4, nodule=0.5, malignancy=0.5)
GRID = Grid((20, 40, 30), (2.0, 1.0, 1.0), (-20.0, 10.0, 100.0), np.eye(3))


def heatmap(**voxels: float) -> Heatmap:
    """Zero but for voxels named as i_r_c, in a box that starts at slice 2, row 5, column 3."""
    box = ((2, 20), (5, 40), (3, 30))
    values = np.zeros([high - low for low, high in box], np.float32)
    for name, p in voxels.items():
        i, r, c = map(int, name[1:].split("_"))
        values[i - 2, r - 5, c - 3] = p
    return Heatmap(values, box, GRID.part(box))


def lungs(*, inside: bool) -> Lungs:
    """A coarse mask of the slices up to z = 110 mm, or without `inside` to 106: the ball spans 107 to 117."""
    mask = np.zeros((10, 10, 10), bool)
    mask[: 3 if inside else 2] = True
    return Lungs(mask, Grid((10, 10, 10), (4.0, 4.0, 4.0), (-20.0, 10.0, 100.0), np.eye(3)), 5000.0)


def candidate(xyz: tuple[float, float, float] = CENTRE, p_nodule: float | None = 0.9) -> Candidate:
    return Candidate((6.0, 20.0, 15.0), xyz, 9, 18.0, 3.2, ((5, 8), (19, 22), (14, 17)), 0.0, 50, 0.8, p_nodule)


SEEN = heatmap(v6_20_15=0.8)


def test_a_nodule_that_passes_every_stage_is_not_lost() -> None:
    assert lost_by(CENTRE, 10, lungs(inside=True), SEEN, [candidate()], THRESHOLDS) is None


def test_outside_the_lungs() -> None:
    assert lost_by(CENTRE, 10, lungs(inside=False), SEEN, [candidate()], THRESHOLDS) == "lung mask"
    assert lost_by(CENTRE, 10, None, SEEN, [candidate()], THRESHOLDS) is None


@pytest.mark.parametrize(("highest", "stage"), [(0.0, "segmentation"), (0.09, "segmentation"), (0.39, "threshold")])
def test_a_probability_too_low(highest: float, stage: str) -> None:
    assert lost_by(CENTRE, 10, None, heatmap(v6_20_15=highest), [], THRESHOLDS) == stage


@pytest.mark.parametrize(
    ("voxel", "within"),
    [
        ("v6_20_19", True),  # 4 mm along the row
        ("v6_20_20", False),  # 5 mm: the surface
        ("v8_20_15", True),  # 4 mm along the slices
        ("v9_20_15", False),  # 6 mm
        ("v8_22_17", True),  # (4, 2, 2): 4.9 mm
        ("v8_23_17", False),  # (4, 3, 2): 5.4 mm
    ],
)
def test_only_voxels_within_the_radius_count(voxel: str, within: bool) -> None:
    stage = lost_by(CENTRE, 10, None, heatmap(**{voxel: 0.9}), [], THRESHOLDS)
    assert stage == ("grouping" if within else "segmentation")


def test_a_candidate_elsewhere_is_lost_in_grouping() -> None:
    beside = candidate((0.0, 30.0, 112.0))  # 5 mm off: on the surface, which is no hit
    assert lost_by(CENTRE, 10, None, SEEN, [beside], THRESHOLDS) == "grouping"


@pytest.mark.parametrize(("p_nodule", "stage"), [(None, "classifier"), (0.49, "classifier"), (0.5, None)])
def test_the_classifier_keeps_what_reaches_its_threshold(p_nodule: float | None, stage: str | None) -> None:
    assert lost_by(CENTRE, 10, None, SEEN, [candidate(p_nodule=p_nodule)], THRESHOLDS) == stage


def test_one_kept_candidate_of_several_is_enough() -> None:
    assert lost_by(CENTRE, 10, None, SEEN, [candidate(p_nodule=0.1), candidate()], THRESHOLDS) is None


def test_a_nodule_outside_the_heatmap_was_not_seen() -> None:
    assert lost_by((-5.0, 30.0, 500.0), 10, None, SEEN, [], THRESHOLDS) == "segmentation"
    assert lost_by((-500.0, 30.0, 112.0), 10, None, SEEN, [], THRESHOLDS) == "segmentation"


def test_a_nodule_smaller_than_a_voxel_has_the_voxel_it_lies_in() -> None:
    assert lost_by((-5.4, 30.4, 112.9), 0.5, None, SEEN, [], THRESHOLDS) == "grouping"


def test_a_threshold_under_what_counts_as_seen() -> None:
    low = replace(THRESHOLDS, segmentation=0.05)
    assert lost_by(CENTRE, 10, None, heatmap(v6_20_15=0.07), [], low) == "grouping"
