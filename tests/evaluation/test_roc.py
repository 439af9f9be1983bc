"""ROC against SciPy's Mann-Whitney test and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from lungscan.errors import InputRefused
from lungscan.evaluation.bootstrap import interval
from lungscan.evaluation.roc import auc, average_precision, bootstrap_auc, corners, roc

SCORE = np.array([0.9, 0.8, 0.8, 0.4, 0.2])
POSITIVE = np.array([True, False, True, True, False])


def test_the_points_by_hand() -> None:
    curve = roc(SCORE, POSITIVE)
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.8, 0.4, 0.2]
    assert curve.true_positive_rate == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert curve.false_positive_rate == pytest.approx([0, 0, 1 / 2, 1 / 2, 1])


def test_the_area_and_the_average_precision_by_hand() -> None:
    # pairs over / tied / under: .9 beats both, .8 ties with .8 and beats .2, .4 loses to .8 and beats .2
    assert auc(SCORE, POSITIVE) == pytest.approx((2 + 1.5 + 1) / 6)
    assert average_precision(SCORE, POSITIVE) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_the_area_is_mann_whitney_s_u(levels: int) -> None:
    rng = np.random.default_rng(levels)
    positive = rng.random(300) < 0.3
    score = np.floor(levels * rng.normal(positive * 0.8)) / levels
    u = mannwhitneyu(score[positive], score[~positive]).statistic
    assert auc(score, positive) == pytest.approx(u / (positive.sum() * (~positive).sum()), abs=1e-12)


def test_perfect_useless_and_inverted_scores() -> None:
    assert auc(POSITIVE.astype(float), POSITIVE) == 1
    assert auc(np.zeros(5), POSITIVE) == 0.5
    assert auc(-POSITIVE.astype(float), POSITIVE) == 0
    assert average_precision(np.zeros(5), POSITIVE) == pytest.approx(3 / 5)


def test_the_interval_has_the_width_that_hanley_and_mcneil_give() -> None:
    """Normal scores, d' = 1: the standard error of the area is theirs (Radiology 143, 1982) within a tenth."""
    rng = np.random.default_rng(0)
    positive = np.arange(400) < 200
    score = rng.normal(positive * 1.0)
    (areas,) = bootstrap_auc([score], positive, np.arange(400)).T
    a = auc(score, positive)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = np.sqrt((a * (1 - a) + 199 * (q1 - a * a) + 199 * (q2 - a * a)) / 200**2)
    low, high = interval(areas)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.1)


def test_nodules_of_one_patient_are_drawn_together() -> None:
    """Each patient's nodules twice over: the draws, and so the areas, are those of the single nodules."""
    rng = np.random.default_rng(4)
    positive, patient = np.arange(30) % 2 == 0, np.arange(30)
    score = rng.normal(positive * 1.0)
    once = bootstrap_auc([score], positive, patient, samples=50)
    twice = bootstrap_auc([np.tile(score, 2)], np.tile(positive, 2), np.tile(patient, 2), samples=50)
    assert twice == pytest.approx(once)


def test_two_scores_share_their_draws() -> None:
    a, b = bootstrap_auc([SCORE, SCORE * 2], POSITIVE, np.arange(5), samples=50).T
    assert (a == b).all()


def test_one_class_has_no_curve() -> None:
    with pytest.raises(InputRefused, match="positives and negatives"):
        roc(SCORE, np.ones(5, bool))


def test_corners_are_the_same_curve_with_fewer_points() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(2000) < 0.02
    curve = roc(np.round(rng.normal(positive * 1.0), 2), positive)
    fewer = corners(curve)
    assert len(fewer.threshold) < len(curve.threshold) / 2
    back = np.interp(np.linspace(0.001, 1, 500), fewer.false_positive_rate, fewer.true_positive_rate)
    assert back == pytest.approx(np.interp(np.linspace(0.001, 1, 500), curve.false_positive_rate, curve.true_positive_rate))
    area = np.trapezoid(fewer.true_positive_rate, fewer.false_positive_rate)
    assert area == pytest.approx(np.trapezoid(curve.true_positive_rate, curve.false_positive_rate))


def test_a_straight_curve_has_two_corners() -> None:
    fewer = corners(roc(np.zeros(5), POSITIVE))
    assert fewer.threshold.tolist() == [np.inf, 0]
    assert len(corners(roc(SCORE, POSITIVE)).threshold) == 5
