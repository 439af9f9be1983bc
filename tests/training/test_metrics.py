"""Counts by hand, and marks against a plain search over thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lungscan.training.metrics import APART, FALSE_PER_SLICE, MARK, Counts, Marks, marked, marks


def test_counts_by_hand() -> None:
    """Found 1 1 1 0 0 0 0 0, true 1 0 1 1 0 0 0 0: two hits, one false, one missed, four rightly left."""
    found, truth = (np.array([int(c) for c in row], bool) for row in ("11100000", "10110000"))
    counts = Counts.of(found, truth)
    assert counts == Counts(true_positives=2, false_negatives=1, true_negatives=4, false_positives=1)
    f = counts.figures()
    assert f["recall"] == pytest.approx(2 / 3)
    assert f["precision"] == pytest.approx(2 / 3)
    assert f["F1"] == pytest.approx(2 / 3)
    assert (f["positives right"], f["positives"], f["negatives right"], f["negatives"]) == (2, 3, 4, 5)
    assert f["right"] == pytest.approx(6 / 8)
    assert counts + counts == Counts(4, 2, 8, 2)


def test_f1_is_the_harmonic_mean_of_recall_and_precision() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        f = Counts.of(rng.random(50) < 0.4, rng.random(50) < 0.4).figures()
        if f["recall"] and f["precision"]:
            assert f["F1"] == pytest.approx(2 / (1 / f["recall"] + 1 / f["precision"]))


def test_nothing_found_and_nothing_there_are_zeros() -> None:
    nothing = np.zeros(4, bool)
    assert Counts.of(nothing, ~nothing).figures()["precision"] == 0
    assert Counts.of(nothing, nothing).figures()["F1"] == 0
    assert Counts.of(nothing, nothing).figures()["right"] == 1


@pytest.fixture
def slice_() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lungs in the left half of 60 x 60; nodule 1 at (10, 10), nodule 2 at (40, 10), an ignored finding at (25, 25)."""
    label = np.zeros((60, 60), np.uint8)
    label[8:13, 8:13], label[38:43, 8:13], label[24:27, 24:27] = 1, 2, 255
    lungs = np.zeros((60, 60), bool)
    lungs[:, :30] = True
    return np.full((60, 60), 0.01, np.float32), label, lungs


def test_a_mark_is_false_only_where_nothing_is(slice_: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    p, label, lungs = slice_
    p[9, 9], p[10, 10] = 0.8, 0.9  # nodule 1
    p[25, 25] = 0.7  # on what is ignored
    p[25, 50] = 0.7  # off the lungs
    p[10, 14] = 0.95  # beside nodule 1: its own
    p[55, 20], p[55, 22] = 0.6, 0.5  # one place, whose highest counts
    p[50, 20 + APART] = 0.3
    p[50, 3] = MARK / 2
    found = marks(p, label, lungs)
    assert found.nodules == pytest.approx([0.9, 0.01])
    assert sorted(found.false) == pytest.approx([0.3, 0.6])


def test_a_plateau_is_one_mark(slice_: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    p, label, lungs = slice_
    p[50:53, 15:18] = 0.5
    assert marks(p, label, lungs).false == pytest.approx([0.5])


def test_marked_is_the_best_share_that_any_threshold_reaches_at_the_rate() -> None:
    rng = np.random.default_rng(1)
    found = [Marks(rng.random(rng.integers(0, 4)), MARK + 0.9 * rng.random(rng.integers(0, 3))) for _ in range(40)]
    nodules, false = np.concatenate([f.nodules for f in found]), np.concatenate([f.false for f in found])
    shares = []
    for rate in FALSE_PER_SLICE:
        allowed = [t for t in (MARK, *false, *nodules) if (false > t).sum() <= rate * len(found)]
        shares.append(max((nodules > t).mean() for t in allowed))
    assert marked(found) == pytest.approx(np.mean(shares))


def test_all_nodules_before_all_false_marks_is_one_and_none_marked_is_zero() -> None:
    assert marked([Marks(np.array([0.9, 0.8]), np.array([0.5, 0.4, 0.3]))]) == 1
    assert marked([Marks(np.array([0.2]), np.array([0.5, 0.4]))]) == 0
    assert math.isnan(marked([Marks(np.zeros(0), np.array([0.5]))]))
