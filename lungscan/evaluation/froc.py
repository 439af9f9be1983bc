"""FROC as LUNA16 measures it: sensitivity against false positives a scan, and the mean at seven rates (CPM).

Setio et al., Medical Image Analysis 42 (2017), and the challenge's evaluation script, followed in every count: a mark hits
a nodule when its distance is under the radius; the highest score of a nodule's marks counts; marks in excluded findings are
neither right nor wrong; a mark in two nodules hits both; a scan keeps its marks over the 101st score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.evaluation.bootstrap import Interval, draws, interval
from lungscan.evaluation.tables import Indices, Places
from lungscan.volume import Array, Triple, triple

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan at which the protocol reads the sensitivity."""

MARKS_PER_SCAN = 100
"""The protocol's cap; marks that tie with the first one over it are dropped as well."""

UNMEASURED_MM = 10.0
"""Diameter of a finding that the tables give a negative one."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """What became of the nodules and of the marks, whatever their score."""

    scans: int
    nodules: int
    candidates: int  # marks that are left under the cap
    true_positives: int  # nodules with a mark
    false_positives: int
    false_negatives: int
    ignored_on_excluded: int
    double_detections_ignored: int


@dataclass(frozen=True)
class Miss:
    """A nodule that is not found at the last rate; `best_score` is that of its best mark, None without any."""

    series: str
    centre_xyz_mm: Triple
    diameter_mm: float
    best_score: float | None


@dataclass(frozen=True)
class Froc:
    """The protocol's figures; intervals are bootstrapped over scans."""

    rates: tuple[float, ...]
    sensitivities: tuple[float, ...]
    thresholds: tuple[float | None, ...]  # the least score that counts at each rate
    intervals: tuple[Interval, ...]
    cpm: float
    cpm_interval: Interval
    counts: Counts
    misses: tuple[Miss, ...]


@dataclass(frozen=True)
class Ranking:
    """Found nodules and false positives from the highest score down.

    scan   : (N,) scan of each
    nodule : (N,) whether it is a nodule
    ends   : (T,) the last row of each score
    score  : (N,)
    """

    scan: Indices
    nodule: Mask
    ends: Indices
    score: Array

    def cumulated(self, times: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """False positives and nodules, (T+1,) each, down to every score, when scan k counts times[k] times."""
        weight = times[self.scan]
        true = np.cumsum(weight * self.nodule)
        false = np.cumsum(weight) - true
        return np.append(0.0, false[self.ends]), np.append(0.0, true[self.ends])


@dataclass(frozen=True)
class Matched:
    """Nodules and marks after matching.

    best            : (nodules,) highest score of a nodule's marks, -inf without any
    nodule_scan     : (nodules,) its scan
    false_score     : (false positives,)
    false_scan      : (false positives,)
    """

    best: Array
    nodule_scan: Indices
    false_score: Array
    false_scan: Indices
    counts: Counts

    @cached_property
    def ranking(self) -> Ranking:
        found = np.isfinite(self.best)
        score = np.concatenate([self.best[found], self.false_score])
        order = np.argsort(-score, kind="stable")
        scan = np.concatenate([self.nodule_scan[found], self.false_scan])[order]
        return Ranking(scan, order < found.sum(), np.flatnonzero(np.diff(score[order], append=-np.inf)), score[order])

    @cached_property
    def head(self) -> Ranking:
        """The part of the ranking with twice the false positives that the last rate allows: enough for most draws."""
        ranking = self.ranking
        over = np.flatnonzero(np.cumsum(~ranking.nodule)[ranking.ends] > 2 * RATES[-1] * self.counts.scans)
        ends = ranking.ends[: over[0] + 1] if len(over) else ranking.ends
        rows = slice(int(ends[-1]) + 1 if len(ends) else 0)
        return Ranking(ranking.scan[rows], ranking.nodule[rows], ends, ranking.score[rows])

    def sensitivities(self, times: npt.NDArray[np.int64]) -> Array:
        """(7,) at RATES when scan k counts times[k] times; the curve is linear between scores."""
        allowed = np.multiply(RATES, times.sum())
        false, true = self.head.cumulated(times)
        if false[-1] <= allowed[-1]:
            false, true = self.ranking.cumulated(times)
        return np.asarray(np.interp(allowed, false, true) / times[self.nodule_scan].sum())

    def thresholds(self) -> tuple[float | None, ...]:
        """The least score that may count at each of RATES; None where the highest one is too many already."""
        false = np.cumsum(~self.ranking.nodule)[self.ranking.ends]
        last = np.searchsorted(false, np.multiply(RATES, self.counts.scans), side="right") - 1
        return tuple(float(self.ranking.score[self.ranking.ends[k]]) if k >= 0 else None for k in last)


def froc(
    series: Sequence[str], nodules: Places, excluded: Places, marks: Places, *, samples: int = 1000, seed: int = 0
) -> Froc:
    """The protocol's figures for marks (value: score) against nodules and excluded findings (value: diameter in mm).

    Raises InputRefused when the scans hold no nodule: there is no sensitivity then.
    """
    if not len(nodules.value):
        raise InputRefused("the annotations hold no nodule of the listed series; give the tables that belong together.")
    matched = match(len(series), nodules, excluded, marks)
    sensitivities = matched.sensitivities(np.ones(len(series), np.int64))
    boot = bootstrap(matched, samples, seed)
    thresholds = matched.thresholds()
    missed = np.flatnonzero(~(matched.best >= (np.inf if thresholds[-1] is None else thresholds[-1])))
    return Froc(
        rates=RATES,
        sensitivities=tuple(sensitivities.tolist()),
        thresholds=thresholds,
        intervals=tuple(interval(column) for column in boot.T),
        cpm=float(sensitivities.mean()),
        cpm_interval=interval(boot.mean(axis=1)),
        counts=matched.counts,
        misses=tuple(
            Miss(
                series[nodules.scan[k]],
                triple(nodules.xyz_mm[k]),
                float(nodules.value[k]),
                float(matched.best[k]) if np.isfinite(matched.best[k]) else None,
            )
            for k in missed
        ),
    )


def match(scans: int, nodules: Places, excluded: Places, marks: Places) -> Matched:
    """Give each mark to the nodules or excluded findings it lies in; what is left over is a false positive."""
    kept, false = np.zeros((2, len(marks.value)), bool)
    best = np.full(len(nodules.value), -np.inf)
    ignored = doubles = 0
    rows = zip(*(_by_scan(places, scans) for places in (nodules, excluded, marks)), strict=True)
    for of_nodules, of_excluded, of_marks in rows:
        m = of_marks[_most_suspicious(marks.value[of_marks])]
        hits = inside(nodules.xyz_mm[of_nodules], nodules.value[of_nodules], marks.xyz_mm[m])
        best[of_nodules] = np.where(hits, marks.value[m], -np.inf).max(axis=1, initial=-np.inf)
        doubles += int(np.maximum(hits.sum(axis=1) - 1, 0).sum())
        right = hits.any(axis=0)
        on_excluded = inside(excluded.xyz_mm[of_excluded], excluded.value[of_excluded], marks.xyz_mm[m]).any(axis=0)
        irrelevant = on_excluded & ~right
        ignored += int(irrelevant.sum())
        kept[m] = True
        false[m] = ~(right | irrelevant)
    found = int(np.isfinite(best).sum())
    counts = Counts(scans, len(best), int(kept.sum()), found, int(false.sum()), len(best) - found, ignored, doubles)
    return Matched(best, nodules.scan, marks.value[false], marks.scan[false], counts)


def bootstrap(matched: Matched, samples: int, seed: int) -> Array:
    """(samples, 7) sensitivities of scans drawn with replacement; draws without a nodule are left out."""
    drawn = draws(matched.counts.scans, samples, seed)
    rows = [matched.sensitivities(times) for times in drawn if times[matched.nodule_scan].any()]
    return np.asarray(rows).reshape(-1, len(RATES))


def _by_scan(places: Places, scans: int) -> list[Indices]:
    order = np.argsort(places.scan, kind="stable")
    return np.split(order, np.searchsorted(places.scan[order], np.arange(1, scans)))


def _most_suspicious(score: Array) -> Mask:
    if len(score) <= MARKS_PER_SCAN:
        return np.ones(len(score), bool)
    return np.asarray(score > np.sort(score)[-MARKS_PER_SCAN - 1])


def inside(centre_xyz_mm: Array, diameter_mm: Array, xyz_mm: Array) -> Mask:
    """(F,M): which marks (M,3) lie in which findings (F,3), their surface left out."""
    diameter = np.where(diameter_mm < 0, UNMEASURED_MM, diameter_mm)
    apart = centre_xyz_mm[:, None] - xyz_mm
    return np.asarray((apart**2).sum(axis=-1) < (diameter[:, None] / 2) ** 2)
