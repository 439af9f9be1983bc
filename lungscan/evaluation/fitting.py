"""What a card learns from patients that its networks have not seen: lines to probabilities, and operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lungscan.evaluation.calibration import fit_line, logit
from lungscan.evaluation.froc import RATES
from lungscan.evaluation.judged import Judged, p_nodule
from lungscan.findings import Candidate
from lungscan.volume import Array
from lungscan.weights.card import Calibration, OperatingPoint

Mask = npt.NDArray[np.bool_]


def fit_nodule(scans: Sequence[Judged], parts: Sequence[Judged] = ()) -> Calibration:
    """The line for P(nodule): right candidates of whole scans and of parts of others against false ones of whole scans.

    Both classes weigh alike in the fit; then the offset takes the odds that a candidate met in a whole scan is right, as in
    a case-control study (Prentice and Pyke 1979), since parts were cut out for their nodules. Raises InputRefused unless
    there are right ones and false ones.
    """
    right = [[scan.candidates[k] for k in np.flatnonzero(scan.hits.any(axis=0))] for scan in (*scans, *parts)]
    hits = [c for some in right for c in some]
    false = [c for scan in scans for c in scan.false_positives(0.0)]
    in_scans = sum(len(some) for some in right[: len(scans)])
    positive = np.arange(len(hits) + len(false)) < len(hits)
    weight = np.where(positive, len(false) / max(len(hits), 1), 1.0)
    line = fit_line(_features([*hits, *false]), positive, weight)
    line[-1] += np.log(in_scans / len(false))
    return Calibration(*line.tolist())


def _features(candidates: Sequence[Candidate]) -> Array:
    """(N, 4) as `Calibration` has them."""
    said, peak, diameter = np.array([(p_nodule(c), c.p_segmentation, c.diameter_mm) for c in candidates]).reshape(-1, 3).T
    return np.stack([logit(said), logit(peak), _size(diameter), np.ones(len(said))], axis=1)


def fit_malignancy(p: Array, diameter_mm: Array, malignant: Mask, *, with_network: bool = True) -> Calibration:
    """The line from what the network says (N,) and the diameter (N,) to P(malignant); without the network the diameter
    alone. Raises InputRefused unless there are malignant ones and others."""
    columns = [_size(diameter_mm), np.ones(len(p))]
    if not with_network:
        return Calibration(0.0, 0.0, *fit_line(np.stack(columns, axis=1), malignant).tolist())
    network, by_size, offset = fit_line(np.stack([logit(p), *columns], axis=1), malignant).tolist()
    return Calibration(network, 0.0, by_size, offset)


def _size(diameter_mm: Array) -> Array:
    return np.asarray(np.log(np.maximum(diameter_mm, 1.0) / 10))


def calibrated(scan: Judged, nodule: Calibration) -> Judged:
    """The scan with calibrated P(nodule)."""
    return replace(
        scan,
        candidates=tuple(replace(c, p_nodule=nodule(p_nodule(c), c.p_segmentation, c.diameter_mm)) for c in scan.candidates),
    )


def operating_points(scans: Sequence[Judged], parts: Sequence[Judged] = ()) -> tuple[OperatingPoint, ...]:
    """For each of LUNA16's rates the lowest threshold that keeps to it on whole scans, and the share of all nodules of scans
    and parts that are found there."""
    false = np.sort([p_nodule(c) for scan in scans for c in scan.false_positives(0.0)])[::-1]
    out = []
    for rate in RATES:
        allowed = int(rate * len(scans))
        if allowed >= len(false):
            break
        threshold = float(np.nextafter(false[allowed], 1))
        found = np.concatenate([scan.found(threshold) for scan in (*scans, *parts)])
        out.append(OperatingPoint(allowed / len(scans), threshold, float(found.mean())))
    return tuple({point.fp_per_scan: point for point in out}.values())


def best_at(points: Sequence[OperatingPoint], fp_per_scan: float) -> OperatingPoint | None:
    """The point of most false positives that keeps to a rate."""
    return max((p for p in points if p.fp_per_scan <= fp_per_scan), key=lambda p: p.fp_per_scan, default=None)
