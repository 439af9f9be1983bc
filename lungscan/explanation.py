"""Why one place was kept or dropped: the funnel, gate by gate, each value beside its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.errors import UsageError
from lungscan.findings import Candidate, Nodule
from lungscan.pipeline import Examination
from lungscan.volume import Array, Triple, triple

NEAR_MM = 5.0
"""What lies this near counts as being at the place: readers' marks of one nodule differ by a few millimetres."""


@dataclass(frozen=True)
class Step:
    """One gate: what was measured, what it takes to pass, both in words, and whether it did (None: it only informs)."""

    gate: str
    value: float | None
    threshold: float | None
    passed: bool | None
    finding: str


@dataclass(frozen=True)
class Explanation:
    """The funnel for one place. `stopped_at` names the gate that dropped it, None for a nodule."""

    at_xyz_mm: Triple
    at_irc: Triple  # on the file's own grid
    steps: tuple[Step, ...]
    candidate: int | None  # its number in the report, when one is at the place
    stopped_at: str | None
    verdict: str


def explain(e: Examination, xyz_mm: Triple) -> Explanation:
    """The funnel for one place in patient mm (LPS). Raises UsageError when it lies outside the scan."""
    inside, lungs, heatmap = _density(e, xyz_mm), _lungs(e, xyz_mm), _heatmap(e, xyz_mm)
    nearest = _nearest(e, xyz_mm)
    component = _component(e, nearest)
    before = (inside, lungs, heatmap, component)
    if nearest is None or not component.passed:
        stopped = next(step for step in (lungs, heatmap, component) if step.passed is False)
        return _explained(e, xyz_mm, before, None, stopped.gate, f"dropped at the gate {stopped.gate}: {stopped.finding}")
    row = _row(e, nearest[0])
    t = e.report.settings.thresholds
    nodule = _classified("P(nodule)", row.p_nodule, t.nodule)
    if not nodule.passed:
        verdict = "dropped by the classifier: P(nodule) is under its threshold"
        return _explained(e, xyz_mm, (*before, nodule), row.id, nodule.gate, verdict)
    malignant = _classified("P(malignant)", row.p_malignant, t.malignancy)
    result = {True: ", suspicious", False: ", not suspicious", None: "; malignancy is not assessed"}[malignant.passed]
    return _explained(e, xyz_mm, (*before, nodule, malignant), row.id, None, f"kept as finding {row.id}{result}")


def _density(e: Examination, xyz_mm: Triple) -> Step:
    index = np.rint(e.volume.grid.irc(xyz_mm)).astype(int)
    if not _holds(e.volume.grid.shape, index):
        low, high = _corners(e)
        raise UsageError(f"--at {_mm(xyz_mm)} lies outside the scan, which spans {_mm(low)} to {_mm(high)} mm.")
    hu = int(e.volume.hu[tuple(index)])
    return Step("density", hu, None, None, f"{hu} HU")


def _lungs(e: Examination, xyz_mm: Triple) -> Step:
    if e.lungs is None:
        return Step("lungs", None, None, None, "the lung gate was off: the whole scan was searched")
    inside = bool(e.lungs.contains(np.asarray([xyz_mm]))[0])
    return Step("lungs", None, None, inside, "inside" if inside else "outside: a candidate counts only if it touches them")


def _heatmap(e: Examination, xyz_mm: Triple) -> Step:
    """The probability at the voxel and the highest within NEAR_MM; 0 outside the heatmap."""
    values, grid = e.heatmap.values, e.heatmap.grid
    threshold = e.report.settings.thresholds.segmentation
    at, spacing = grid.irc(xyz_mm), np.asarray(grid.spacing_irc_mm)
    index = np.rint(at).astype(int)
    here = float(values[tuple(index)]) if _holds(grid.shape, index) else 0.0
    low = np.maximum(np.ceil(at - NEAR_MM / spacing), 0).astype(int)
    high = np.maximum(np.floor(at + NEAR_MM / spacing).astype(int) + 1, low)
    box = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    apart = np.moveaxis(np.indices(box.shape), 0, -1) + low - at
    highest = max(here, float(box[_length(apart, spacing) <= NEAR_MM].max(initial=0.0)))
    finding = f"{here:.4f} here, highest {highest:.4f} within {NEAR_MM:g} mm, threshold {threshold:g}"
    return Step("heatmap", highest, threshold, highest > threshold, finding)


def _component(e: Examination, nearest: tuple[Candidate, float] | None) -> Step:
    """The distance to the nearest candidate, and its size."""
    if nearest is None:
        return Step(
            "component", None, NEAR_MM, False, "none in this scan: all were cleaned up, too small or outside the lungs"
        )
    candidate, distance = nearest
    number = _row(e, candidate).id
    if distance > NEAR_MM:
        finding = f"none left within {NEAR_MM:g} mm; the nearest, candidate {number}, begins {distance:.1f} mm away"
        return Step("component", distance, NEAR_MM, False, finding)
    half_voxel = float(np.linalg.norm(e.prepared.grid.spacing_irc_mm)) / 2
    place = "holds the place" if distance <= half_voxel else f"begins {distance:.1f} mm away"
    size = f"{candidate.voxels} voxels, {candidate.volume_mm3:.0f} mm3, {candidate.diameter_mm:.1f} mm across"
    return Step(
        "component", distance, NEAR_MM, True, f"candidate {number} {place}; {size}; peak {candidate.p_segmentation:.3f}"
    )


def _classified(gate: str, p: float | None, threshold: float) -> Step:
    if p is None:
        return Step(gate, None, threshold, None, "not assessed: the weights hold no network for it")
    return Step(gate, p, threshold, p >= threshold, f"{p:.4f}, threshold {threshold:g}")


def _nearest(e: Examination, xyz_mm: Triple) -> tuple[Candidate, float] | None:
    """The candidate with a voxel nearest to the place, and how far that voxel's centre is in mm."""
    grid = e.prepared.grid
    at, spacing = grid.irc(xyz_mm), np.asarray(grid.spacing_irc_mm)

    def lower_bound(c: Candidate) -> tuple[float, float]:
        low, high = np.array(c.box_irc).T
        to_centre = float(_length(np.asarray(c.centre_irc) - at, spacing))
        return float(_length(at - np.clip(at, low, high - 1), spacing)), to_centre

    best: tuple[Candidate, float] | None = None
    for bound, candidate in sorted(((lower_bound(c), c) for c in e.candidates), key=lambda pair: pair[0]):
        if best is not None and bound[0] >= best[1]:
            break
        distance = _to_voxels(e, candidate, at, spacing)
        if best is None or distance < best[1]:
            best = candidate, distance
    return best


def _to_voxels(e: Examination, candidate: Candidate, at: Array, spacing: Array) -> float:
    """Distance in mm from an index point to the nearest voxel over the threshold in the candidate's box."""
    low = np.array([low for low, _ in candidate.box_irc])
    corner = [low for low, _ in e.heatmap.box]
    part = tuple(slice(a - k, b - k) for (a, b), k in zip(candidate.box_irc, corner, strict=True))
    voxels = np.argwhere(e.heatmap.values[part] > e.report.settings.thresholds.segmentation) + low
    return float(_length(voxels - at, spacing).min())


def _row(e: Examination, candidate: Candidate) -> Nodule:
    """The candidate as the report numbers it."""
    return next(row for row in e.report.candidates.all if row.centre_xyz_mm == candidate.centre_xyz_mm)


def _explained(
    e: Examination, xyz_mm: Triple, steps: tuple[Step, ...], candidate: int | None, stopped_at: str | None, verdict: str
) -> Explanation:
    return Explanation(triple(xyz_mm), triple(e.volume.grid.irc(xyz_mm)), steps, candidate, stopped_at, verdict)


def _corners(e: Examination) -> tuple[Triple, Triple]:
    """Least and greatest patient coordinates of the scan's voxel centres."""
    grid = e.volume.grid
    corners = grid.xyz(np.array([[i, r, c] for i in (0, 1) for r in (0, 1) for c in (0, 1)]) * (np.array(grid.shape) - 1))
    return triple(corners.min(axis=0)), triple(corners.max(axis=0))


def _holds(shape: tuple[int, ...], index: npt.NDArray[np.int_]) -> bool:
    return all(0 <= k < n for k, n in zip(index, shape, strict=True))


def _length(apart_irc: Array, spacing: Array) -> Array:
    """Length in mm of index offsets (...,3)."""
    return np.asarray(np.sqrt(((apart_irc * spacing) ** 2).sum(axis=-1)))


def _mm(xyz_mm: Triple) -> str:
    return ",".join(f"{v:.1f}" for v in xyz_mm)
