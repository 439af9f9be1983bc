"""Whether a probability of 0.7 comes true seven times in ten, and the line on the logit that makes it so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.volume import Array

Mask = npt.NDArray[np.bool_]

SURE = 1e-7
"""Probabilities count as at least so far from 0 and 1, where the logit is infinite."""

STEPS = 100
CONVERGED = 1e-10


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width that hold something, (B,) each: the mean probability, the share that came true, and how many."""

    mean_probability: Array
    share_positive: Array
    count: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Platt:
    """A line on the logit: p -> 1 / (1 + exp(-(slope * logit(p) + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, probability: Array) -> Array:
        return _sigmoid(self.slope * logit(probability) + self.intercept)


def reliability(probability: Array, positive: Mask, bins: int = 10) -> Reliability:
    """The reliability curve of probabilities (N,) against truth (N,)."""
    place = np.minimum((probability * bins).astype(np.intp), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    mean, share = (np.bincount(place, v, minlength=bins)[held] / count[held] for v in (probability, positive))
    return Reliability(mean, share, count[held])


def brier(probability: Array, positive: Mask) -> float:
    """Mean squared distance of probabilities (N,) from what came true (N,); 0 is perfect, always 0.5 gives 0.25."""
    return float(np.mean((probability - positive) ** 2))


def logit(probability: Array) -> Array:
    p = np.clip(np.asarray(probability, dtype=np.float64), SURE, 1 - SURE)
    return np.asarray(np.log(p / (1 - p)))


def fit_platt(probability: Array, positive: Mask) -> Platt:
    """The line that fits validation data best: probabilities (N,) of the network, and truth (N,).

    Platt (1999) with his targets, (positives + 1) / (positives + 2) and 1 / (negatives + 2), so that few or separable
    nodules give no infinite slope; Newton's method with halved steps after Lin, Lin and Weng (2007). Raises InputRefused
    unless there are both positives and negatives.
    """
    slope, intercept = fit_line(np.stack([logit(probability), np.ones(len(positive))], axis=1), positive).tolist()
    return Platt(slope, intercept)


def fit_line(design: Array, positive: Mask, weight: Array | None = None) -> Array:
    """Coefficients (K,) of the logistic line over features (N, K) that fits truth (N,) best; rows count `weight` (N,) times.

    Targets and method as in `fit_platt`. Raises InputRefused unless there are both positives and negatives.
    """
    counts = np.ones(len(positive)) if weight is None else weight
    positives, negatives = float(counts[positive].sum()), float(counts[~positive].sum())
    if not positives or not negatives:
        raise InputRefused("calibration needs positives and negatives, and one of them is missing; use more scans.")
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    line = np.zeros(design.shape[1])
    line[-1] = np.log((positives + 1) / (negatives + 1))
    loss = _cross_entropy(design @ line, target, counts)
    for _ in range(STEPS):
        p = _sigmoid(design @ line)
        gradient = design.T @ (counts * (p - target))
        if np.abs(gradient).max() < CONVERGED * counts.sum():
            break
        curvature = design.T @ (design * (counts * p * (1 - p))[:, None]) + 1e-12 * np.eye(len(line))
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        line, loss = _descended(design, target, counts, line, loss, step)
    return line


def _descended(design: Array, target: Array, counts: Array, line: Array, loss: float, step: Array) -> tuple[Array, float]:
    """The line after the longest of the halved steps that does not raise the loss; the line itself when none does."""
    for halvings in range(40):
        moved = line - step / 2**halvings
        lower = _cross_entropy(design @ moved, target, counts)
        if lower <= loss:
            return moved, lower
    return line, loss


def _cross_entropy(value: Array, target: Array, counts: Array) -> float:
    return float(counts @ (np.logaddexp(0, value) - target * value))


def _sigmoid(value: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -value)))
