"""Calibration against SciPy's optimiser, closed facts and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.special import logit as scipy_logit

from lungscan.errors import InputRefused
from lungscan.evaluation.calibration import brier, fit_platt, logit, reliability


def drawn(count: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose truth follows a line on their logit."""
    rng = np.random.default_rng(count)
    p = rng.uniform(0.01, 0.99, count)
    return p, rng.random(count) < expit(slope * scipy_logit(p) + intercept)


def test_the_curve_by_hand() -> None:
    p = np.array([0.05, 0.15, 0.19, 0.95, 1.0])
    curve = reliability(p, np.array([False, True, False, True, True]))
    assert curve.mean_probability == pytest.approx([0.05, 0.17, 0.975])
    assert curve.share_positive == pytest.approx([0, 0.5, 1])
    assert curve.count.tolist() == [1, 2, 2]


def test_brier_by_hand() -> None:
    positive = np.array([True, False])
    assert brier(np.array([0.8, 0.4]), positive) == pytest.approx((0.04 + 0.16) / 2)
    assert brier(np.array([0.5, 0.5]), positive) == 0.25
    assert brier(positive.astype(float), positive) == 0


def test_the_curve_splits_brier_s_score() -> None:
    """Murphy (1973): with one probability a bin, the score is reliability - resolution + uncertainty."""
    rng = np.random.default_rng(2)
    p = rng.integers(0, 10, 500) / 10 + 0.05
    positive = rng.random(500) < p**2
    curve = reliability(p, positive)
    weight, base = curve.count / 500, positive.mean()
    unreliable = (weight * (curve.mean_probability - curve.share_positive) ** 2).sum()
    resolution = (weight * (curve.share_positive - base) ** 2).sum()
    assert brier(p, positive) == pytest.approx(unreliable - resolution + base * (1 - base))


@pytest.mark.parametrize(("count", "slope", "intercept"), [(12, 1, 0), (200, 0.5, -1), (200, 3, 2)])
def test_the_fit_is_the_one_that_scipy_finds(count: int, slope: float, intercept: float) -> None:
    p, positive = drawn(count, slope, intercept)
    n = positive.sum()
    target = np.where(positive, (n + 1) / (n + 2), 1 / (count - n + 2))

    def loss(line: np.ndarray) -> float:
        q = expit(line[0] * scipy_logit(p) + line[1])
        return float(-(target * np.log(q) + (1 - target) * np.log(1 - q)).sum())

    fit = fit_platt(p, positive)
    assert (fit.slope, fit.intercept) == pytest.approx(minimize(loss, [1, 0]).x, abs=1e-3)
    assert loss(np.array([fit.slope, fit.intercept])) <= minimize(loss, [1, 0]).fun + 1e-9


def test_the_fit_finds_the_line_that_made_the_data() -> None:
    p, positive = drawn(100_000, 0.7, -0.4)
    fit = fit_platt(p, positive)
    assert (fit.slope, fit.intercept) == pytest.approx((0.7, -0.4), abs=0.03)
    calibrated = reliability(fit(p), positive)
    assert calibrated.share_positive == pytest.approx(calibrated.mean_probability, abs=0.03)


def test_separable_and_sure_probabilities_have_a_finite_line() -> None:
    p = np.array([0.0, 0.0, 1e-12, 1.0, 1.0])
    fit = fit_platt(p, p > 0.5)
    # Platt's targets are the fit: 1 / (3 + 2) at the clipped 0 and (2 + 1) / (2 + 2) at the clipped 1
    assert fit(p) == pytest.approx([0.2, 0.2, 0.2, 0.75, 0.75], abs=1e-6)


def test_one_probability_for_all_gives_the_base_rate() -> None:
    positive = np.arange(40) < 10
    q = fit_platt(np.full(40, 0.9), positive)(np.array([0.9]))
    assert q == pytest.approx((10 * 11 / 12 + 30 / 32) / 40, abs=1e-6)


def test_the_logit_is_scipy_s_between_its_ends() -> None:
    p = np.linspace(0.001, 0.999, 50)
    assert logit(p) == pytest.approx(scipy_logit(p))


def test_one_class_cannot_be_calibrated() -> None:
    with pytest.raises(InputRefused, match="positives and negatives"):
        fit_platt(np.array([0.1, 0.2]), np.array([False, False]))
