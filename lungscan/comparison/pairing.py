"""Which row of the earlier report is which of the newer one.

A nodule without a partner may have one among the other scan's candidates, when its P(nodule) only just stayed under the
threshold: that is looked at before it is called new or gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungscan.comparison.matching import match
from lungscan.comparison.registration import Alignment
from lungscan.findings import Nodule, Report

FAINT_SHARE = 0.5
"""Share of the nodule threshold that a candidate must reach to be the partner of a nodule. Our own choice."""


@dataclass(frozen=True)
class Pairing:
    """Rows that are one nodule, and the nodules of either report that have no partner."""

    pairs: tuple[tuple[Nodule, Nodule], ...]  # (earlier, newer)
    gone: tuple[Nodule, ...]
    new: tuple[Nodule, ...]


def pair(prior: Report, now: Report, alignment: Alignment) -> Pairing:
    """Nodules with nodules first, then those left over with the other scan's candidates just under the threshold."""
    pairs = _matched(prior.nodules, now.nodules, alignment)
    pairs += _matched(_left(prior.nodules, pairs, 0), faint(now), alignment)
    pairs += _matched(faint(prior), _left(now.nodules, pairs, 1), alignment)
    return Pairing(tuple(pairs), _left(prior.nodules, pairs, 0), _left(now.nodules, pairs, 1))


def faint(report: Report) -> tuple[Nodule, ...]:
    """Candidates just under the nodule threshold."""
    threshold = report.settings.thresholds.nodule
    return tuple(c for c in report.candidates.all if FAINT_SHARE * threshold <= c.p_nodule < threshold)


def _matched(prior: Sequence[Nodule], now: Sequence[Nodule], alignment: Alignment) -> list[tuple[Nodule, Nodule]]:
    there = alignment(np.array([n.centre_xyz_mm for n in prior]).reshape(-1, 3))
    here = np.array([n.centre_xyz_mm for n in now]).reshape(-1, 3)
    return [(prior[i], now[j]) for i, j in match(there, here)]


def _left(nodules: Sequence[Nodule], pairs: Sequence[tuple[Nodule, Nodule]], side: int) -> tuple[Nodule, ...]:
    taken = {p[side].id for p in pairs}
    return tuple(n for n in nodules if n.id not in taken)
