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


@dataclass(frozen=True)
class Roc:
    """Points of the curve from nothing to everything, (T+1,) each; `threshold` is the least score that counts."""

    false_positive_rate: Array
    true_positive_rate: Array
    threshold: Array  # starts with infinity


def roc(score: Array, positive: Mask) -> Roc:
    """The curve of finite scores (N,) against truth (N,). Raises InputRefused without positives or negatives."""
    true, false, threshold = _steps(score, positive, np.ones(len(score), np.int64))
    return Roc(false / false[-1], true / true[-1], threshold)


def auc(score: Array, positive: Mask) -> float:
    """The chance that a positive scores over a negative, ties counted half: the area under the ROC, Mann-Whitney's U."""
    return _area(score, positive, np.ones(len(score), np.int64))


def average_precision(score: Array, positive: Mask) -> float:
    """Precision at each score, weighted by the recall it adds."""
    true, false, _ = _steps(score, positive, np.ones(len(score), np.int64))
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
    rows = []
    for drawn in draws(len(names), samples, seed):
        times = drawn[unit]
        if times[positive].any() and times[~positive].any():
            rows.append([_area(score, positive, times) for score in scores])
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(scores))


def _area(score: Array, positive: Mask, times: Times) -> float:
    true, false, _ = _steps(score, positive, times)
    return float((np.diff(false) * (true[1:] + true[:-1])).sum() / (2 * true[-1] * false[-1]))


def _steps(score: Array, positive: Mask, times: Times) -> tuple[Array, Array, Array]:
    """Positives and negatives down to each score, and the scores, when row k counts times[k] times."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    weight, hit = times[order], positive[order]
    true, false = (np.append(0.0, np.cumsum(weight * which)[ends]) for which in (hit, ~hit))
    if not len(score) or true[-1] == 0 or false[-1] == 0:
        raise InputRefused("a ROC needs positives and negatives, and one of them is missing; evaluate more scans.")
    return true, false, np.append(np.inf, score[order][ends])
