"""Which stage lost a nodule: the first one after which nothing of it was left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from lungscan.findings import Candidate, Thresholds
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Array, Triple

Stage = Literal["lung mask", "segmentation", "threshold", "grouping", "classifier"]

UNSEEN = 0.1
"""A nodule whose highest probability is lower was not seen at all; no threshold in use would bring it back."""

LATTICE = 9
"""Points along each axis of the ball that are looked up in the lung mask."""


def lost_by(
    centre_xyz_mm: Triple,
    diameter_mm: float,
    lungs: Lungs | None,
    heatmap: Heatmap,
    candidates: Sequence[Candidate],
    thresholds: Thresholds,
) -> Stage | None:
    """The stage that lost an annotated nodule, None for one that is found. A hit lies within the radius, as in LUNA16.

    "lung mask"     no point of the nodule's ball lies in the lungs (None: the gate was off)
    "segmentation"  no voxel of the ball has a probability over UNSEEN
    "threshold"     the highest one does not pass the segmentation's threshold
    "grouping"      one does, but no candidate's centre lies in the ball
    "classifier"    one does, but none of those reaches the nodule threshold

    candidates : all that grouping made, with P(nodule) where the classifier has seen them
    """
    if lungs is not None and not lungs.contains(_ball(centre_xyz_mm, diameter_mm)).any():
        return "lung mask"
    highest = _highest(heatmap, centre_xyz_mm, diameter_mm)
    if highest <= min(UNSEEN, thresholds.segmentation):
        return "segmentation"
    if highest <= thresholds.segmentation:
        return "threshold"
    radius = diameter_mm / 2
    inside = [c for c in candidates if np.linalg.norm(np.subtract(c.centre_xyz_mm, centre_xyz_mm)) < radius]
    if not inside:
        return "grouping"
    if not any(c.p_nodule is not None and c.p_nodule >= thresholds.nodule for c in inside):
        return "classifier"
    return None


def _ball(centre_xyz_mm: Triple, diameter_mm: float) -> Array:
    """Points (N,3) in a ball, its centre among them."""
    steps = np.linspace(-1, 1, LATTICE)
    unit = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    inside = unit[(unit**2).sum(axis=1) <= 1]
    return np.asarray(centre_xyz_mm + inside * diameter_mm / 2)


def _highest(heatmap: Heatmap, centre_xyz_mm: Triple, diameter_mm: float) -> float:
    """The highest probability among the voxels within the radius, and the one at the centre; 0 outside the heatmap."""
    grid = heatmap.grid
    at = grid.irc(centre_xyz_mm)
    reach = diameter_mm / 2 / np.asarray(grid.spacing_irc_mm)
    low = np.clip(np.minimum(np.ceil(at - reach), np.rint(at)), 0, grid.shape).astype(int)
    high = np.clip(np.maximum(np.floor(at + reach), np.rint(at)) + 1, low, grid.shape).astype(int)
    box = heatmap.values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    index = np.moveaxis(np.indices(box.shape), 0, -1) + low
    near = ((index - at) * grid.spacing_irc_mm / (diameter_mm / 2)) ** 2
    within = (near.sum(axis=-1) < 1) | (index == np.rint(at)).all(axis=-1)
    return float(box[within].max(initial=0.0))
