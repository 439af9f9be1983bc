"""Heatmap → candidates: voxels over the threshold that hang together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.findings import Candidate
from lungscan.kernels.components import components
from lungscan.kernels.erosion import erode
from lungscan.kernels.moments import moments
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Flat, Volume
from lungscan.weights.card import Card


@dataclass(frozen=True)
class Grouped:
    """Candidates, and the voxels that each was measured on: ascending flat indices into the heatmap."""

    candidates: tuple[Candidate, ...]
    cores: tuple[Flat, ...]


def group(heatmap: Heatmap, volume: Volume, lungs: Lungs | None, card: Card, threshold: float) -> Grouped:
    """Candidates in the order of their first voxel, cleaned up and connected as the card says.

    Candidates are the components over the card's own threshold, whatever `threshold` asks for, so their size does not move
    with the sensitivity. A higher threshold keeps those whose peak is over it. A lower one adds: below the card's level the
    mask is drawn again at 1/2, 1/4, ... of it, and what holds no candidate yet becomes one. So lowering the threshold never
    removes a candidate, and never changes one. A component is measured where it reaches the card's share of its peak.

    With lungs, a candidate that touches them nowhere is dropped; one that touches them is kept whole.
    """
    levels = [card.thresholds.segmentation]
    while levels[-1] > threshold:
        levels.append(levels[-1] / 2)
    found: list[Candidate] = []
    cores: list[Flat] = []
    taken: list[Flat] = []
    for level in levels:
        voxels = over(heatmap.values, level)
        if card.grouping.cleanup == "erosion":
            voxels = erode(voxels, heatmap.values.shape)
        component, count = components(voxels, heatmap.values.shape, card.grouping.connectivity)
        new = np.ones(count, bool)
        if taken:
            new[component[np.isin(voxels, np.concatenate(taken))]] = False
        if lungs is not None:
            inside = lungs.contains(heatmap.grid.xyz(np.stack(np.unravel_index(voxels, heatmap.values.shape), axis=1)))
            new &= np.bincount(component, weights=inside, minlength=count) > 0
        new &= np.bincount(component, minlength=count) * volume.grid.voxel_mm3 >= card.grouping.minimum_mm3
        kept = new[component]
        voxels, component = voxels[kept], (np.cumsum(new, dtype=np.int32) - 1)[component[kept]]
        core, owner = _core(voxels, component, heatmap, card.grouping.outline)
        found += _measure(core, owner, int(new.sum()), heatmap, volume, card)
        cores += np.split(core[np.argsort(owner, kind="stable")], np.cumsum(np.bincount(owner))[:-1]) if len(owner) else []
        taken.append(voxels)
    kept = [k for k, c in enumerate(found) if c.p_segmentation > threshold]
    return Grouped(tuple(found[k] for k in kept), tuple(cores[k] for k in kept))


def over(values: npt.NDArray[np.float32], level: float) -> Flat:
    """Ascending flat indices of the voxels over a level; no mask of the volume is made."""
    size = values[0].size
    return np.concatenate([np.flatnonzero(plane > level) + k * size for k, plane in enumerate(values)])


def _core(
    voxels: Flat, component: npt.NDArray[np.int32], heatmap: Heatmap, outline: float
) -> tuple[Flat, npt.NDArray[np.int32]]:
    """The voxels that reach this share of their component's peak, and their components."""
    p = heatmap.values.ravel()[voxels]
    peak = np.zeros(component.max(initial=-1) + 1, np.float32)
    np.maximum.at(peak, component, p)
    core = p >= np.float32(outline) * peak[component]
    return voxels[core], component[core]


def _measure(
    voxels: Flat, component: npt.NDArray[np.int32], count: int, heatmap: Heatmap, volume: Volume, card: Card
) -> list[Candidate]:
    if count == 0:
        return []
    shape = heatmap.values.shape
    corner = np.array([low for low, _ in heatmap.box])
    index = np.stack(np.unravel_index(voxels, shape)) + corner[:, None]
    m = moments(
        voxels, component, count, shape, volume.hu[tuple(index)], heatmap.values.ravel()[voxels], card.input.window_hu
    )
    centre = m.centre + corner
    rows = zip(
        centre.tolist(),
        volume.grid.xyz(centre).tolist(),
        m.voxels.tolist(),
        (m.low + corner).tolist(),
        (m.high + corner).tolist(),
        m.hu_mean.tolist(),
        m.hu_max.tolist(),
        m.peak.tolist(),
        strict=True,
    )
    voxel_mm3 = volume.grid.voxel_mm3
    return [
        Candidate(
            centre_irc=(i, r, c),
            centre_xyz_mm=(x, y, z),
            voxels=n,
            volume_mm3=n * voxel_mm3,
            diameter_mm=(6 * n * voxel_mm3 / math.pi) ** (1 / 3),
            box_irc=((low[0], high[0]), (low[1], high[1]), (low[2], high[2])),
            hu_mean=mean,
            hu_max=most,
            p_segmentation=peak,
        )
        for (i, r, c), (x, y, z), n, low, high, mean, most, peak in rows
    ]
