"""The whole chest in two pictures: the highest HU inside the lungs along a line of sight, with every nodule's place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from lungscan.findings import Nodule
from lungscan.report import drawing
from lungscan.report.planes import VIEWS, Plane, Values
from lungscan.stages.lungs import COARSE_MM, MARGIN_MM, Lungs
from lungscan.stages.outline import Examined, NoduleMask, nodule_masks
from lungscan.volume import AIR_HU, Array, Grid, Volume, triple

if TYPE_CHECKING:
    from lungscan.clinical.assess import Assessment
    from lungscan.comparison.compare import Comparison

Inside = npt.NDArray[np.bool_]

SIDE = 560  # pixels
WINDOW_HU = (-1000, 400)
"""Vessels and nodules against lung."""

WALL_MM = 4.0
"""Peeled off the closed lungs besides their margin: the chest wall would hide what lies behind it."""

_GHOST = 0.3
"""Brightness of the mean of the whole chest behind the lungs."""
_GHOST_WINDOW_HU = (-900, 200)


class Pictured(Examined, Protocol):
    """A scan with its report, its outlines, its lungs and what was asked beside: `lungscan.pipeline.Examination`."""

    @property
    def lungs(self) -> Lungs | None: ...
    @property
    def assessment(self) -> Assessment | None: ...
    @property
    def comparison(self) -> Comparison | None: ...


@dataclass(frozen=True)
class Overview:
    view: str
    caption: str
    image: Image.Image


def overview_panels(
    examined: Pictured, colour_of: Callable[[Nodule], drawing.Colour], side: int = SIDE
) -> Iterator[Overview]:
    """Coronal and axial, at one scale; a ring as wide as the nodule, or as can be seen."""
    volume = examined.volume.canonical()
    grid = volume.grid
    box = tuple((0, n) for n in grid.shape) if examined.lungs is None else examined.lungs.box(grid)
    extent = [(high - low) * mm for (low, high), mm in zip(box, grid.spacing_irc_mm, strict=True)]
    centre = grid.xyz([(low + high - 1) / 2 for low, high in box])
    pixel_mm = max(extent) / side
    for view, values in projections(volume, examined.lungs, nodule_masks(examined), examined.volume.grid).items():
        across, along, _ = VIEWS[view]
        shape = (round(extent[2 - along] / pixel_mm), round(extent[2 - across] / pixel_mm))
        plane = Plane.of(view, grid, centre, shape, pixel_mm)
        axis = across + along - 1  # of the array: the line of sight
        level = plane.sample(np.expand_dims(values, axis), _flat(grid, axis), outside=0)
        image = Image.fromarray(drawing.grey(level, (0, 1)))
        drawing.lettered(image, plane)
        drawing.scaled(image, pixel_mm)
        for nodule in reversed(examined.report.nodules):
            radius = max(nodule.diameter_mm / 2 / pixel_mm + 4, 9)
            at, marked = plane.pixel(nodule.centre_xyz_mm), nodule.suspicious is True
            drawing.ringed(image, at, radius, colour_of(nodule), str(nodule.id), marked=marked)
        yield Overview(view, f"{view}, maximum intensity", image)


def projections(volume: Volume, lungs: Lungs | None, masks: Sequence[NoduleMask], file_grid: Grid) -> dict[str, Values]:
    """Brightness, 0 to 1, of a canonical volume along its rows (coronal, (I,C)) and slices (axial, (R,C)).

    Inside the lungs the highest HU counts, and a nodule's own voxels count as inside; around them the mean of the whole
    chest shines faintly through. Without lungs the highest HU anywhere.
    """
    slices, rows, columns = volume.grid.shape
    inside = _everywhere(volume.grid) if lungs is None else _insides(lungs, volume.grid)
    boxes = [_placed(mask, file_grid, volume) for mask in masks]
    most = {"coronal": np.full((slices, columns), AIR_HU, np.int16), "axial": np.full((rows, columns), AIR_HU, np.int16)}
    total = {view: np.zeros(flat.shape, np.int64) for view, flat in most.items()}
    for i, lung in enumerate(inside):
        for (first, r, c), mask in boxes:
            if first <= i < first + len(mask):
                lung[r : r + mask.shape[1], c : c + mask.shape[2]] |= mask[i - first]
        hu = volume.hu[i]
        shown = np.where(lung, hu, np.int16(AIR_HU))
        most["coronal"][i], most["axial"] = shown.max(axis=0), np.maximum(most["axial"], shown)
        total["coronal"][i], total["axial"] = hu.sum(axis=0), total["axial"] + hu
    ghost = 0.0 if lungs is None else _GHOST
    depth = {"coronal": rows, "axial": slices}
    return {
        view: np.maximum(_level(most[view], WINDOW_HU), ghost * _level(total[view] / depth[view], _GHOST_WINDOW_HU))
        for view in most
    }


def _level(hu: npt.NDArray[Any], window_hu: tuple[int, int]) -> Values:
    low, high = window_hu
    return np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)


def _everywhere(grid: Grid) -> Iterator[Inside]:
    for _ in range(grid.shape[0]):
        yield np.ones(grid.shape[1:], np.bool_)


def _insides(lungs: Lungs, grid: Grid) -> Iterator[Inside]:
    """Slice by slice of a canonical grid, the lungs without their margin and wall: (R,C), linear between coarse voxels."""
    peeled = ndimage.binary_erosion(lungs.mask, iterations=round((MARGIN_MM + WALL_MM) / COARSE_MM), border_value=1)
    coarse = peeled.astype(np.float32)
    slices, rows, columns = (_index(lungs.grid, grid, axis) for axis in range(3))
    across, down = _weights(columns, coarse.shape[2]), _weights(rows, coarse.shape[1])

    @lru_cache(maxsize=2)
    def fine(k: int) -> Values:
        return np.asarray(down @ coarse[min(max(k, 0), len(coarse) - 1)] @ across.T)

    for at in slices:
        below = math.floor(at)
        share = np.float32(at - below)
        yield (1 - share) * fine(below) + share * fine(below + 1) >= 0.5


def _index(coarse: Grid, grid: Grid, axis: int) -> Array:
    """The coarse index, not rounded, of each of a grid's indices along an axis that both share."""
    index = np.zeros((grid.shape[axis], 3))
    index[:, axis] = np.arange(grid.shape[axis])
    return coarse.irc(grid.xyz(index))[:, axis]


def _weights(at: Array, count: int) -> Values:
    """(N,count): the shares of the two neighbours between which each place lies."""
    return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(count)), 0, 1), np.float32)


def _placed(mask: NoduleMask, file_grid: Grid, canonical: Volume) -> tuple[npt.NDArray[np.intp], Inside]:
    """A mask in canonical order, and the canonical index of its first voxel."""
    part = Volume(mask.mask.astype(np.int16), file_grid.part(mask.box_irc), canonical.source).canonical()
    return np.rint(canonical.grid.irc(part.grid.origin_xyz_mm)).astype(np.intp), part.hu > 0


def _flat(grid: Grid, axis: int) -> Grid:
    """The grid with a single voxel along an axis, as thick as all of them."""
    first = np.zeros(3)
    first[axis] = (grid.shape[axis] - 1) / 2
    shape, spacing = list(grid.shape), list(grid.spacing_irc_mm)
    spacing[axis] *= shape[axis]
    shape[axis] = 1
    (i, r, c), (a, b, d) = shape, spacing
    return replace(grid, shape=(i, r, c), spacing_irc_mm=(a, b, d), origin_xyz_mm=triple(grid.xyz(first)))
