"""Do two engines say the same of a scan? Candidates, centres and probabilities side by side, within bounds that are stated.

A precision that rounds more may move a candidate that hardly is one. What it may not do is bring or lose a nodule, or move
what the report says of one by more than its bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from lungscan.findings import Candidate
from lungscan.pipeline import Examination

NEIGHBOURS = 4
"""Candidates that are looked at as the partner of one."""


@dataclass(frozen=True)
class Bounds:
    """The most that may lie between an engine and the reference.

    centre_mm   : between a nodule's two centres
    probability : of a nodule's P(nodule) and P(malignant)
    unpaired    : share of the candidates that only one of the two has
    """

    centre_mm: float
    probability: float
    unpaired: float


BOUNDS = {
    "fp32": Bounds(centre_mm=0.1, probability=0.001, unpaired=0.01),
    "fp16": Bounds(centre_mm=0.5, probability=0.02, unpaired=0.05),
    "bf16": Bounds(centre_mm=0.5, probability=0.05, unpaired=0.05),
    "int8": Bounds(centre_mm=1.0, probability=0.1, unpaired=0.2),
}
"""By precision. float16 keeps 11 bits of a number, bfloat16 8; int8 has 256 steps for all that a layer may say."""


@dataclass(frozen=True)
class Parting:
    """A nodule of the reference that the engine has not, or the other way round: what each has in its place."""

    reference: Candidate | None
    engine: Candidate | None


@dataclass(frozen=True)
class Parity:
    """What lies between an engine and the reference on one scan: the largest differences, and the nodules of one alone."""

    bounds: Bounds
    nodules: int  # of the reference
    partings: tuple[Parting, ...]
    candidates: int  # of the reference
    unpaired: int  # candidates of either without a partner
    centre_mm: float
    p_nodule: float
    p_malignant: float
    heatmap: float  # of a voxel's probability: shown, and bound by what it does to the findings

    @property
    def holds(self) -> bool:
        return (
            not self.partings
            and self.centre_mm <= self.bounds.centre_mm
            and max(self.p_nodule, self.p_malignant) <= self.bounds.probability
            and self.unpaired <= self.bounds.unpaired * self.candidates
        )


def compare(reference: Examination, engine: Examination, precision: str) -> Parity:
    """Parity of an engine in a precision of `BOUNDS` with the reference, on one scan and with the same weights.

    Candidates whose centres lie within half a diameter of each other are one.
    """
    ours, theirs = reference.candidates, engine.candidates
    threshold = reference.report.settings.thresholds.nodule
    pairs = _pairs(ours, theirs)
    both = [(ours[i], theirs[k]) for i, k in pairs]
    alone: list[tuple[Candidate | None, Candidate | None]] = [
        *((c, None) for c in _without(ours, {i for i, _ in pairs})),
        *((None, c) for c in _without(theirs, {k for _, k in pairs})),
    ]
    kept = [(a, b) for a, b in both if max(_p(a), _p(b)) >= threshold]
    apart = [(a, b) for a, b in (*both, *alone) if min(_p(a), _p(b)) < threshold <= max(_p(a), _p(b))]
    return Parity(
        bounds=BOUNDS[precision],
        nodules=sum(_p(c) >= threshold for c in ours),
        partings=tuple(Parting(a, b) for a, b in apart),
        candidates=len(ours),
        unpaired=len(alone),
        centre_mm=max((math.dist(a.centre_xyz_mm, b.centre_xyz_mm) for a, b in kept), default=0.0),
        p_nodule=max((abs(_p(a) - _p(b)) for a, b in kept), default=0.0),
        p_malignant=max(
            (abs(a.p_malignant - b.p_malignant) for a, b in kept if a.p_malignant is not None and b.p_malignant is not None),
            default=0.0,
        ),
        heatmap=float(np.abs(reference.heatmap.values - engine.heatmap.values).max(initial=0.0)),
    )


def _pairs(ours: Sequence[Candidate], theirs: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Each candidate with the nearest that no nearer one has taken."""
    if not ours or not theirs:
        return []
    places = KDTree([c.centre_xyz_mm for c in theirs])
    near = [places.query(c.centre_xyz_mm, k=range(1, min(NEIGHBOURS, len(theirs)) + 1)) for c in ours]
    found = sorted(
        (float(distance), i, int(k))
        for i, (distances, indices) in enumerate(near)
        for distance, k in zip(distances, indices, strict=True)
        if distance <= max(ours[i].diameter_mm, theirs[k].diameter_mm) / 2
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, k in found:
        if i not in pairs and k not in taken:
            pairs[i] = k
            taken.add(k)
    return list(pairs.items())


def _without(candidates: Sequence[Candidate], indices: set[int]) -> list[Candidate]:
    return [c for i, c in enumerate(candidates) if i not in indices]


def _p(candidate: Candidate | None) -> float:
    """P(nodule); none where there is no candidate."""
    return 0.0 if candidate is None or candidate.p_nodule is None else candidate.p_nodule
