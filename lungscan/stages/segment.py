"""Slices → heatmap: the U-Net looks at each slice between its neighbours and gives every voxel a probability."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from lungscan.engines import Engine
from lungscan.kernels.window import windowed
from lungscan.networks import graph
from lungscan.stages import Progress, silent
from lungscan.stages.lungs import Lungs
from lungscan.volume import Box, Grid, Volume
from lungscan.weights.card import Card

Corner = tuple[int, int]

SLAB_SLICES = 8
"""Slices that go to the engine together. Each slab has a box of its own around its part of the lungs: fewer slices make
tighter boxes, more slices waste less on the context that neighbouring slabs both copy."""


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
    gate changes no probability inside. Slices beyond either end repeat the end slice.
    """
    everything = ((0, volume.grid.shape[0]), (0, volume.grid.shape[1]), (0, volume.grid.shape[2]))
    box = everything if lungs is None else lungs.box(volume.grid)
    values = np.zeros([high - low for low, high in box], np.float32)
    (first, last), (top, _), (left, _) = box
    slabs: deque[tuple[Box, Corner]] = deque()

    def stacks() -> Iterator[npt.NDArray[np.float32]]:
        for start in range(first, last, SLAB_SLICES):
            stop = min(start + SLAB_SLICES, last)
            slab = ((start, stop), *box[1:]) if lungs is None else lungs.slab_box(volume.grid, start, stop)
            if slab is not None:
                hu, corner = _cut(volume.hu, slab, card)
                slabs.append((slab, corner))
                windows = sliding_window_view(hu, 2 * card.input.context_slices + 1, axis=0, writeable=True)
                yield np.moveaxis(windows, -1, 1)

    for p in engine(stacks()):
        ((i0, i1), (r0, r1), (c0, c1)), (r_at, c_at) = slabs.popleft()
        inside = p[:, r0 - r_at : r1 - r_at, c0 - c_at : c1 - c_at]
        values[i0 - first : i1 - first, r0 - top : r1 - top, c0 - left : c1 - left] = inside
        progress("segment", i1 - first, last - first)
    progress("segment", last - first, last - first)
    return Heatmap(values, box, volume.grid.part(box))


def _cut(hu: npt.NDArray[np.int16], slab: Box, card: Card) -> tuple[npt.NDArray[np.float32], Corner]:
    """The slab with its context slices and halo in the card's window, and the row and column at which it starts.

    Where the halo passes the image, the image ends there, and the network pads as it would for the whole slice. An image
    that is no multiple of the pooling grid is filled up with air.
    """
    cell, reach = graph.cell(card.segmentation), graph.halo(card.segmentation)
    (i0, i1), *plane = slab
    context = card.input.context_slices
    slices = np.clip(np.arange(i0 - context, i1 + context), 0, hu.shape[0] - 1)
    (r0, r1), (c0, c1) = [
        (max(low - reach, 0) // cell * cell, min(-(-(high + reach) // cell) * cell, size))
        for (low, high), size in zip(plane, hu.shape[1:], strict=True)
    ]
    out = np.full((len(slices), *(-(-n // cell) * cell for n in (r1 - r0, c1 - c0))), card.input.window_hu[0], np.float32)
    for k, i in enumerate(slices):
        out[k, : r1 - r0, : c1 - c0] = windowed(hu[i, r0:r1, c0:c1], card.input.window_hu)
    return out, (r0, c0)
