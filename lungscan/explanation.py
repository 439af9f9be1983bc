"""Why one place was kept or dropped: the funnel, gate by gate, each value beside its threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lungscan.errors import UsageError
from lungscan.findings import Candidate
from lungscan.pipeline import Examination
from lungscan.volume import Triple, triple

NEAR_MM = 5.0
"""How far around the place the heatmap is looked through for its highest value."""


@dataclass(frozen=True)
class Step:
    """One gate: what was measured, what it takes to pass, and whether it did (None: it only informs)."""

    gate: str
    finding: str
    passed: bool | None


@dataclass(frozen=True)
class Explanation:
    at_xyz_mm: Triple
    at_irc: Triple  # on the file's own grid
    steps: tuple[Step, ...]
    verdict: str


def explain(e: Examination, xyz_mm: Triple) -> Explanation:
    """The funnel for one place in patient mm (LPS). Raises UsageError when it lies outside the scan."""
    grid = e.prepared.grid
    index = np.rint(grid.irc(xyz_mm)).astype(int)
    if not all(0 <= k < n for k, n in zip(index, grid.shape, strict=True)):
        low, high = sorted_corners(e)
        raise UsageError(f"--at {_mm(xyz_mm)} lies outside the scan, which spans {_mm(low)} to {_mm(high)} mm.")
    steps = [Step("density", f"{int(e.prepared.hu[tuple(index)])} HU", None)]
    if e.lungs is not None:
        inside = bool(e.lungs.contains(np.asarray([xyz_mm]))[0])
        steps.append(Step("lungs", "inside" if inside else "outside: a candidate counts only if it touches them", inside))
    t = e.report.settings.thresholds
    here, highest = _heat(e, index)
    found = _nearest(e, xyz_mm, index)
    if found is None:
        steps.append(_segmented(here, highest, t.segmentation, passed=False))
        reason = (
            f"the heatmap reaches {highest:.3f} within {NEAR_MM:g} mm, not the segmentation threshold {t.segmentation:g}"
            if highest <= t.segmentation
            else "its component was cleaned up, is too small, or touches the lungs nowhere"
        )
        return _explained(e, xyz_mm, steps, f"dropped before grouping: {reason}")
    candidate, distance = found
    steps.append(_segmented(here, highest, t.segmentation, passed=True))
    size = f"{candidate.voxels} voxels, {candidate.volume_mm3:.0f} mm3, {candidate.diameter_mm:.1f} mm across"
    place = "holds the place" if distance == 0 else f"{distance:.1f} mm away, centre {_mm(candidate.centre_xyz_mm)}"
    steps.append(Step("component", f"{size}; {place}; peak {candidate.p_segmentation:.3f}", True))
    p_nodule = candidate.p_nodule or 0.0
    is_nodule = p_nodule >= t.nodule
    steps.append(Step("P(nodule)", f"{p_nodule:.4f}, threshold {t.nodule:g}", is_nodule))
    if not is_nodule:
        return _explained(e, xyz_mm, steps, "dropped by the classifier: P(nodule) is under its threshold")
    number = next(n.id for n in e.report.nodules if n.centre_xyz_mm == candidate.centre_xyz_mm)
    if candidate.p_malignant is None:
        return _explained(e, xyz_mm, steps, f"kept as finding {number}; malignancy is not assessed")
    suspicious = candidate.p_malignant >= t.malignancy
    steps.append(Step("P(malignant)", f"{candidate.p_malignant:.4f}, threshold {t.malignancy:g}", suspicious))
    return _explained(e, xyz_mm, steps, f"kept as finding {number}, {'suspicious' if suspicious else 'not suspicious'}")


def sorted_corners(e: Examination) -> tuple[Triple, Triple]:
    """Least and greatest patient coordinates of the scan's voxel centres."""
    corners = e.prepared.grid.xyz(
        [[i, r, c] for i in (0, 1) for r in (0, 1) for c in (0, 1)] * (np.array(e.prepared.grid.shape) - 1)
    )
    return triple(corners.min(axis=0)), triple(corners.max(axis=0))


def _segmented(here: float, highest: float, threshold: float, *, passed: bool) -> Step:
    finding = f"{here:.4f} here, highest {highest:.4f} within {NEAR_MM:g} mm, threshold {threshold:g}"
    return Step("heatmap", finding, passed)


def _heat(e: Examination, index: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    """Probability at the voxel, and the highest near it; 0 outside the heatmap."""
    at = index - [low for low, _ in e.heatmap.box]
    reach = np.ceil(NEAR_MM / np.asarray(e.heatmap.grid.spacing_irc_mm)).astype(int)
    near = e.heatmap.values[tuple(slice(max(a - n, 0), max(a + n + 1, 0)) for a, n in zip(at, reach, strict=True))]
    inside = all(0 <= a < n for a, n in zip(at, e.heatmap.values.shape, strict=True))
    return float(e.heatmap.values[tuple(at)]) if inside else 0.0, float(near.max()) if near.size else 0.0


def _nearest(e: Examination, xyz_mm: Triple, index: np.ndarray) -> tuple[Candidate, float] | None:  # type: ignore[type-arg]
    """The candidate whose centre lies nearest, when the place is within its radius and NEAR_MM; 0 mm inside its box."""
    best = min(e.candidates, key=lambda c: math.dist(c.centre_xyz_mm, xyz_mm) - c.diameter_mm / 2, default=None)
    if best is None:
        return None
    distance = math.dist(best.centre_xyz_mm, xyz_mm)
    if distance > best.diameter_mm / 2 + NEAR_MM:
        return None
    inside = all(low <= k < high for k, (low, high) in zip(index, best.box_irc, strict=True))
    return best, 0.0 if inside else distance


def _explained(e: Examination, xyz_mm: Triple, steps: list[Step], verdict: str) -> Explanation:
    return Explanation(xyz_mm, triple(e.volume.grid.irc(xyz_mm)), tuple(steps), verdict)


def _mm(xyz_mm: Triple) -> str:
    return ",".join(f"{v:.1f}" for v in xyz_mm)
