"""Slices → heatmap: the U-Net looks at each slice between its neighbours and gives every voxel a probability."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan.engines import Engine
from lungscan.kernels.stack import stacks
from lungscan.kernels.world import input_type, world
from lungscan.networks import graph
from lungscan.stages import Progress, silent
from lungscan.stages.lungs import Lungs
from lungscan.volume import Box, Grid, Volume
from lungscan.weights.card import Card

SLAB_SLICES = 8
"""Slices that go to the engine together. Each slab has a box of its own around its part of the lungs: fewer slices make
tighter boxes, more slices waste less on the context that neighbouring slabs both copy."""

SLAB_SLICES_ON_GPU = 16
"""The same on a GPU, where all slabs have one shape, so that one CUDA graph serves them. Not measured."""


@dataclass(frozen=True)
class Heatmap:
    """Probability that a voxel belongs to a nodule.

    values : (I,R,C) float32 on `grid`, which is the part `box` of the volume's grid; outside it the probability is 0
    """

    values: npt.NDArray[np.float32]
    box: Box
    grid: Grid


def segment(volume: Volume, lungs: Lungs | None, card: Card, engine: Engine, progress: Progress = silent) -> Heatmap:
    """Heatmap of a canonical volume, computed inside the lung box alone when there are lungs, everywhere otherwise.

    Each slab of slices is cut out with the network's halo around its box, on multiples of the pooling grid, so that the
    gate changes no probability inside. Slices beyond either end repeat the end slice; an image that is no multiple of the
    pooling grid is filled up with air.
    """
    xp, grid = world(volume.hu), volume.grid
    on_host = xp is np
    everything = ((0, grid.shape[0]), (0, grid.shape[1]), (0, grid.shape[2]))
    box = everything if lungs is None else lungs.box(grid)
    values = xp.zeros([high - low for low, high in box], np.float32)
    (first, last), (top, _), (left, _) = box
    wanted = list(_around_lungs(box, lungs, grid))
    dtype = input_type(volume.hu, engine.precision)
    shown: deque[tuple[Box, Box]] = deque()

    def batches() -> Iterator[Any]:
        for slab in wanted if on_host else _of_one_shape(box):
            wide = _with_halo(slab, grid, card)
            shown.append((slab, wide))
            cell = graph.cell(card.segmentation)
            yield stacks(volume.hu, wide, card.input.window_hu, card.input.context_slices, cell, dtype)

    for p in engine(batches()):
        ((begin, end), *_), ((at, _), (r_at, _), (c_at, _)) = shown.popleft()
        for (i0, i1), (r0, r1), (c0, c1) in wanted:
            i0, i1 = max(i0, begin), min(i1, end)
            if i0 < i1:
                inside = p[i0 - at : i1 - at, r0 - r_at : r1 - r_at, c0 - c_at : c1 - c_at]
                values[i0 - first : i1 - first, r0 - top : r1 - top, c0 - left : c1 - left] = inside
        progress("segment", end - first, last - first)
    progress("segment", last - first, last - first)
    return Heatmap(values, box, grid.part(box))


def _around_lungs(box: Box, lungs: Lungs | None, grid: Grid) -> Iterator[Box]:
    """Slab by slab the box around its part of the lungs; a slab without lung is left out."""
    (first, last), rows, columns = box
    for start in range(first, last, SLAB_SLICES):
        stop = min(start + SLAB_SLICES, last)
        slab = ((start, stop), rows, columns) if lungs is None else lungs.slab_box(grid, start, stop)
        if slab is not None:
            yield slab


def _of_one_shape(box: Box) -> Iterator[Box]:
    """Slabs of the whole box; the last one begins in the one before."""
    (first, last), rows, columns = box
    slices = min(SLAB_SLICES_ON_GPU, last - first)
    for start in range(first, last, slices):
        begin = min(start, last - slices)
        yield (begin, begin + slices), rows, columns


def _with_halo(slab: Box, grid: Grid, card: Card) -> Box:
    """The slab with the rows and columns that can change its probabilities, on multiples of the pooling grid.

    Where the halo passes the image, the image ends there, and the network pads as it would for the whole slice.
    """
    cell, reach = graph.cell(card.segmentation), graph.halo(card.segmentation)
    slices, *plane = slab
    rows, columns = (
        (max(low - reach, 0) // cell * cell, min(-(-(high + reach) // cell) * cell, size))
        for (low, high), size in zip(plane, grid.shape[1:], strict=True)
    )
    return slices, rows, columns
