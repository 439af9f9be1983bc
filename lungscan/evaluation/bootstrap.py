"""Intervals by the bootstrap: whole scans or patients are drawn with replacement, as marks of one scan hang together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.volume import Array

CONFIDENCE = 0.95

Interval = tuple[float, float]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A figure of all scans or patients, and its bootstrapped interval."""

    value: float
    interval: Interval


def draws(units: int, samples: int, seed: int) -> Iterator[Times]:
    """How often each unit is drawn, (units,), when as many are drawn as there are; `samples` times."""
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.bincount(rng.integers(units, size=units), minlength=units)


def interval(values: Array) -> Interval:
    """The middle 95 % of bootstrapped values (N,), by the ranks that LUNA16 takes; NaN without values."""
    if not len(values):
        return float("nan"), float("nan")
    ordered = np.sort(values)
    tail = (1 - CONFIDENCE) / 2
    return float(ordered[int(tail * len(ordered))]), float(ordered[int((1 - tail) * len(ordered))])
