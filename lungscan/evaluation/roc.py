"""ROC and precision-recall of scores against truth; equal scores are one step, so that no order among them is made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.evaluation.bootstrap import Times, draws
from lungscan.volume import Array

Mask = npt.NDArray[np.bool_]

STRAIGHT = 1e-12
"""Three points of a curve whose triangle is smaller lie on one line."""


@dataclass(frozen=True)
class Roc:
    """Points of the curve from nothing to everything, (T+1,) each; `threshold` is the least score that counts."""

    false_positive_rate: Array
    true_positive_rate: Array
    threshold: Array  # starts with infinity


def roc(score: Array, positive: Mask) -> Roc:
    """The curve of finite scores (N,) against truth (N,). Raises InputRefused without positives or negatives."""
    ranked = _Ranked.of(score, positive)
    true, false = ranked.cumulated(np.ones(len(score), np.int64))
    return Roc(false / false[-1], true / true[-1], np.append(np.inf, ranked.threshold))


def corners(curve: Roc) -> Roc:
    """The same curve without the points on its straight parts: at most two for each positive, and the ends."""
    along = np.stack([np.diff(curve.false_positive_rate), np.diff(curve.true_positive_rate)])
    turns = np.abs(along[0, :-1] * along[1, 1:] - along[1, :-1] * along[0, 1:]) > STRAIGHT
    kept = np.concatenate([[True], turns, [True]])
    return Roc(curve.false_positive_rate[kept], curve.true_positive_rate[kept], curve.threshold[kept])


def auc(score: Array, positive: Mask) -> float:
    """The chance that a positive scores over a negative, ties counted half: the area under the ROC, Mann-Whitney's U."""
    return _Ranked.of(score, positive).area(np.ones(len(score), np.int64))


def average_precision(score: Array, positive: Mask) -> float:
    """Precision at each score, weighted by the recall it adds."""
    true, false = _Ranked.of(score, positive).cumulated(np.ones(len(score), np.int64))
    precision = true[1:] / (true[1:] + false[1:])
    return float((np.diff(true) * precision).sum() / true[-1])


def bootstrap_auc(
    scores: Sequence[Array], positive: Mask, patient: npt.ArrayLike, *, samples: int = 1000, seed: int = 0
) -> Array:
    """(samples, K) areas of K scores (N,) of the same nodules, patients (N,) drawn with replacement.

    The scores share their draws, so the interval of a difference of two columns is that of the paired difference. Draws
    without a positive or a negative are left out.
    """
    names, unit = np.unique(np.asarray(patient), return_inverse=True)
    ranked = [_Ranked.of(score, positive) for score in scores]
    rows = []
    for drawn in draws(len(names), samples, seed):
        times = drawn[unit]
        if times[positive].any() and times[~positive].any():
            rows.append([one.area(times) for one in ranked])
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(scores))


@dataclass(frozen=True)
class _Ranked:
    """Scores from the highest down: the rows' order (N,), their truth (N,), each score's last row (T,), the scores (T,)."""

    order: npt.NDArray[np.intp]
    positive: Mask
    ends: npt.NDArray[np.intp]
    threshold: Array

    @classmethod
    def of(cls, score: Array, positive: Mask) -> _Ranked:
        if positive.all() or not positive.any():
            raise InputRefused("a ROC needs positives and negatives, and one of them is missing; evaluate more scans.")
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
        return cls(order, positive[order], ends, score[order][ends])

    def cumulated(self, times: Times) -> tuple[Array, Array]:
        """Positives and negatives, (T+1,) each, down to every score, when row k counts times[k] times."""
        weight = times[self.order]
        true = np.cumsum(weight * self.positive)
        false = np.cumsum(weight) - true
        return np.append(0.0, true[self.ends]), np.append(0.0, false[self.ends])

    def area(self, times: Times) -> float:
        true, false = self.cumulated(times)
        return float((np.diff(false) * (true[1:] + true[:-1])).sum() / (2 * true[-1] * false[-1]))
