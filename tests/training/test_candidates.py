"""What counts as a hit: LUNA16's rule, and what is neither right nor wrong."""

from __future__ import annotations

import numpy as np
import pytest

from lungscan.training.cache import IGNORED, Entry, Nodule
from lungscan.training.candidates import HIT, MISS, NEITHER, verdicts
from tests.evaluation.hand_made import candidate

AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("x", "verdict"),
    [
        (50.0, HIT),  # the centre
        (54.9, HIT),  # within the radius of 5 mm
        (55.1, NEITHER),  # beside it, within the diameter
        (60.1, MISS),
        (80.0, NEITHER),  # on an ignored voxel
        (20.0, MISS),
    ],
)
def test_verdicts(x: float, verdict: int) -> None:
    entry = Entry("a", "a", "0", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXES, (1, 1, 100), (Nodule((50.0, 0.0, 0.0), 10.0),))
    label = np.zeros((1, 1, 100), np.uint8)
    label[..., 79:82] = IGNORED
    assert verdicts(entry, label, [candidate(x, 0.5)]).tolist() == [verdict]


def test_a_hit_on_ignored_voxels_is_a_hit() -> None:
    entry = Entry("a", "a", "0", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXES, (1, 1, 100), (Nodule((50.0, 0.0, 0.0), 10.0),))
    assert verdicts(entry, np.full((1, 1, 100), IGNORED, np.uint8), [candidate(50, 0.5)]).tolist() == [HIT]


def test_no_candidates_no_verdicts() -> None:
    entry = Entry("a", "a", "0", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXES, (1, 1, 100), ())
    assert verdicts(entry, np.zeros((1, 1, 100), np.uint8), []).tolist() == []
