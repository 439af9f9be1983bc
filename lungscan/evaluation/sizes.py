"""Nodules by size, and measured diameters against annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungscan.evaluation.bootstrap import Estimate, Interval, draws, interval
from lungscan.volume import Array

EDGES_MM = (0.0, 6.0, 10.0, 20.0, 30.0)
"""Where each class of sizes begins: 6 mm is the least solid nodule that Lung-RADS follows up, over 30 mm is a mass."""

LIMITS = 1.96
"""Standard deviations about the bias that hold 95 % of normal differences."""


@dataclass(frozen=True)
class OfSize:
    """Nodules from `least_mm` to under the next class, and false positives measured as that large."""

    least_mm: float
    nodules: int
    found: int
    false_positives: int


@dataclass(frozen=True)
class Diameters:
    """Relative errors of measured diameters, measured / annotated - 1.

    limits : of agreement, bias -/+ 1.96 standard deviations (Bland and Altman, Lancet 1986); NaN of one nodule
    """

    nodules: int
    median_absolute: Estimate
    bias: float
    limits: Interval


def by_size(nodule_mm: Array, found: Array, false_mm: Array) -> tuple[OfSize, ...]:
    """Counts of annotated diameters (N,) with whether they are found (N,), and of false positives' measured ones (M,)."""
    of_nodule, of_false = (np.searchsorted(EDGES_MM, mm, side="right") - 1 for mm in (nodule_mm, false_mm))
    nodules, hits, false = (
        np.bincount(of, weights, minlength=len(EDGES_MM)).astype(int).tolist()
        for of, weights in ((of_nodule, None), (of_nodule, found), (of_false, None))
    )
    return tuple(map(OfSize, EDGES_MM, nodules, hits, false))


def diameters(
    measured_mm: Array, annotated_mm: Array, patient: Sequence[str], *, samples: int, seed: int
) -> Diameters | None:
    """For nodules (N,) of patients (N,), who are drawn with replacement for the interval; None without nodules."""
    if not len(measured_mm):
        return None
    error = measured_mm / annotated_mm - 1
    names, unit = np.unique(np.asarray(patient), return_inverse=True)
    medians = [np.median(np.abs(np.repeat(error, times[unit]))) for times in draws(len(names), samples, seed)]
    bias, reach = float(error.mean()), LIMITS * float(error.std(ddof=1)) if len(error) > 1 else float("nan")
    median = float(np.median(np.abs(error)))
    return Diameters(len(error), Estimate(median, interval(np.array(medians))), bias, (bias - reach, bias + reach))
