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
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise InputRefused("calibration needs positives and negatives, and one of them is missing; use more scans.")
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([logit(probability), np.ones(len(target))], axis=1)
    line = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _cross_entropy(design @ line, target)
    for _ in range(STEPS):
        p = _sigmoid(design @ line)
        gradient = design.T @ (p - target)
        if np.abs(gradient).max() < CONVERGED * len(target):
            break
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + 1e-12 * np.eye(2)
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        line, loss = _descended(design, target, line, loss, step)
    return Platt(float(line[0]), float(line[1]))


def _descended(design: Array, target: Array, line: Array, loss: float, step: Array) -> tuple[Array, float]:
    """The line after the longest of the halved steps that does not raise the loss; the line itself when none does."""
    for halvings in range(40):
        moved = line - step / 2**halvings
        lower = _cross_entropy(design @ moved, target)
        if lower <= loss:
            return moved, lower
    return line, loss


def _cross_entropy(value: Array, target: Array) -> float:
    return float((np.logaddexp(0, value) - target * value).sum())


def _sigmoid(value: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -value)))
