"""Heatmap → candidates: voxels over the threshold that hang together."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungscan.kernels.component_table import ComponentTable, component_table
from lungscan.kernels.world import world
from lungscan.stages.candidates import Candidates
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Volume
from lungscan.weights.card import Card

ROOM = 2048
"""Components that a GPU has rows for: the book's networks make 700 of a scan, the shipped ones 100."""

VOXELS = 1 << 22
"""Voxels over the threshold that a GPU has room for: a sphere of 200 mm on a grid of 1 mm."""


def group(heatmap: Heatmap, volume: Volume, lungs: Lungs | None, card: Card, threshold: float) -> Candidates:
    """Candidates in the order of their first voxel, cleaned up and connected as the card says.

    Candidates are the components over the card's own threshold, whatever `threshold` asks for, so their size does not move
    with the sensitivity. A higher threshold keeps those whose peak is over it. A lower one adds: below the card's level the
    mask is drawn again at 1/2, 1/4, ... of it, and what holds no candidate yet becomes one. So lowering the threshold never
    removes a candidate, and never changes one. A component is measured where it reaches the card's share of its peak.

    With lungs, a candidate that touches them nowhere is dropped; one that touches them is kept whole.
    """
    xp, grouping = world(heatmap.values), card.grouping
    inside = None if lungs is None else xp.asarray(lungs.on(heatmap.grid))
    taken: Any = None
    found: list[Candidates] = []
    level = card.thresholds.segmentation
    while True:
        table = component_table(
            heatmap.values,
            level,
            volume.hu[tuple(slice(*ends) for ends in heatmap.box)],
            card.input.window_hu,
            grouping.connectivity,
            outline=grouping.outline,
            inside=inside,
            taken=taken,
            erode=grouping.cleanup == "erosion",
            max_components=ROOM,
            max_voxels=VOXELS,
        )
        large = table.size * volume.grid.voxel_mm3 >= grouping.minimum_mm3
        new = (xp.arange(len(large)) < table.count) & large & table.touches & ~table.taken
        found.append(_measured(table, heatmap, volume, len(found) * ROOM).kept(new & (table.peak > threshold)))
        if level <= threshold:
            return Candidates.joined(found)
        taken = _with(taken, table, new, heatmap.values)
        level /= 2


def _measured(table: ComponentTable, heatmap: Heatmap, volume: Volume, first_row: int) -> Candidates:
    """Every component as a candidate, by its sums; rows that hold none get numbers that harm nobody."""
    xp = world(table.weight)
    corner = xp.asarray([low for low, _ in heatmap.box])
    weight, voxels = np.maximum(table.weight, 1), np.maximum(table.voxels, 1)
    asked = xp.full(len(weight), np.nan)
    return Candidates(
        grid=volume.grid,
        count=table.count,
        lost=_beyond(table.count, ROOM) + _beyond(table.foreground, VOXELS) if xp is not np else 0,
        centre_irc=table.weighted_irc / weight[:, None] + corner,
        low=table.low + corner,
        high=table.high + corner,
        voxels=table.voxels,
        hu_mean=table.hu_sum / voxels,
        hu_max=table.hu_max,
        peak=table.peak,
        row=xp.arange(len(weight)) + first_row,
        p_nodule=asked,
        p_malignant=asked.copy(),
        core=table.core_voxels,
        core_row=xp.where(xp.arange(len(table.core_owner)) < table.core_count, table.core_owner + first_row, -1),
    )


def _beyond(count: Any, room: int) -> Any:
    return np.maximum(count - room, 0)


def _with(taken: Any, table: ComponentTable, new: Any, like: Any) -> Any:
    """The mask of voxels taken, with the cores of new candidates: a component of a lower level holds all of one or nothing.

    What is not new, and what lies beyond the count, is written to a place behind the last voxel.
    """
    xp = world(like)
    owner, behind = table.core_owner, like.size
    listed = xp.arange(len(owner)) < table.core_count
    marked = listed & new[xp.where(listed, owner, 0)] if len(owner) else listed
    flat = xp.zeros(behind + 1, xp.uint8)
    if taken is not None:
        flat[:behind] = taken.reshape(-1)
    flat[xp.where(marked, table.core_voxels, behind)] = 1
    return flat[:behind].reshape(like.shape)
