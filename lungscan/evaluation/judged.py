"""One scan: its candidates against its truth, and what became of each nodule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lungscan.evaluation.cases import Case, Opened
from lungscan.evaluation.froc import inside
from lungscan.evaluation.misses import Stage, lost_by
from lungscan.findings import Candidate, Thresholds
from lungscan.stages.segment import Heatmap
from lungscan.training.cache import IGNORED, Nodule

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What the figures need of a scan; nodules and candidates meet in patient mm.

    candidates : those that count, whatever their P(nodule)
    lost       : for each nodule the stage that lost it, None for one that is found; empty when it was not traced
    """

    name: str
    patient: str
    series: str
    nodules: tuple[Nodule, ...]
    ignored: tuple[Nodule, ...]
    candidates: tuple[Candidate, ...]
    lost: tuple[Stage | None, ...] = ()

    @cached_property
    def hits(self) -> Mask:
        """(nodules, candidates): which candidates' centres lie in which nodules, as LUNA16 has it."""
        return _inside(self.nodules, self.candidates)

    @cached_property
    def false(self) -> Mask:
        """(candidates,): those that lie in no nodule and in no ignored finding."""
        return np.asarray(~(self.hits.any(axis=0) | _inside(self.ignored, self.candidates).any(axis=0)))

    @cached_property
    def best(self) -> tuple[Candidate | None, ...]:
        """For each nodule its candidate of highest P(nodule), None without any."""
        return tuple(max((self.candidates[k] for k in np.flatnonzero(row)), key=p_nodule, default=None) for row in self.hits)

    def found(self, threshold_nodule: float) -> Mask:
        """(nodules,): those with a candidate that reaches the threshold."""
        return np.array([best is not None and p_nodule(best) >= threshold_nodule for best in self.best], bool)

    def false_positives(self, threshold_nodule: float) -> list[Candidate]:
        """Those that reach the threshold, the most likely first."""
        kept = [c for c, wrong in zip(self.candidates, self.false, strict=True) if wrong and p_nodule(c) >= threshold_nodule]
        return sorted(kept, key=lambda c: (-p_nodule(c), c.centre_xyz_mm))


def judged(case: Case, opened: Opened, heatmap: Heatmap, candidates: Sequence[Candidate], thresholds: Thresholds) -> Judged:
    """A scan's candidates, classified whatever their score, against its truth.

    A candidate whose centre lies on an IGNORED voxel, and in no nodule, is neither right nor wrong: it is left out.
    """
    index = np.array([c.centre_irc for c in candidates]).reshape(-1, 3)
    at = np.clip(np.rint(index).astype(np.intp), 0, np.array(opened.label.shape) - 1)
    counts = (opened.label[tuple(at.T)] != IGNORED) | _inside(opened.nodules, candidates).any(axis=0)
    kept = tuple(c for c, k in zip(candidates, counts, strict=True) if k)
    scan = Judged(case.name, case.patient, case.series, opened.nodules, opened.ignored, kept)
    lost = [
        None if found else lost_by(n.centre_xyz_mm, n.diameter_mm, opened.lungs, heatmap, kept, thresholds)
        for n, found in zip(scan.nodules, scan.found(thresholds.nodule), strict=True)
    ]
    return replace(scan, lost=tuple(lost))


def p_nodule(candidate: Candidate) -> float:
    """0 for a candidate that no classifier has seen."""
    return candidate.p_nodule or 0.0


def _inside(findings: Sequence[Nodule], candidates: Sequence[Candidate]) -> Mask:
    return inside(
        np.array([f.centre_xyz_mm for f in findings]).reshape(-1, 3),
        np.array([f.diameter_mm for f in findings]),
        np.array([c.centre_xyz_mm for c in candidates]).reshape(-1, 3),
    )
