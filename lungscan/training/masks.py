"""Which voxels belong to a nodule: inside the readers' contours, or by a rule from its centre alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.errors import InputRefused
from lungscan.training.job import Contour
from lungscan.volume import Box, Grid, Triple

Mask = npt.NDArray[np.bool_]

DENSE_HU = -700
"""Denser than this is not aerated lung."""

FIRST_RADIUS = 2
"""Voxels from the centre where the walk begins."""

REACH = 0.75
"""Of a known diameter: a walk into the chest wall ends there. Half of it would cut nodules that are longer than wide."""

ON_BORDER = 1e-6
"""Pixels: what mm and back leave of a corner that lay on a pixel's centre."""


def rule_mask(
    hu: npt.NDArray[np.int16], grid: Grid, centre_xyz_mm: Triple, diameter_mm: float | None = None
) -> tuple[Box, Mask]:
    """A box and which of its voxels are nodule (*Deep Learning with PyTorch*, part 2, chapter 13).

    From the rounded centre a walk goes both ways along slices, rows and columns from two voxels away, while both ends are
    denser than -700 HU and on the grid. The box has the three radii where the walks ended, cut at the grid; nodule are its
    voxels denser than -700 HU, and the centre always. Raises InputRefused for a centre outside the grid.
    """
    centre = np.rint(grid.irc(centre_xyz_mm)).astype(int)
    if (centre < 0).any() or (centre >= grid.shape).any():
        place = ", ".join(f"{v:.1f}" for v in centre_xyz_mm)
        raise InputRefused(f"a nodule at ({place}) mm lies outside the scan; its annotations are of another scan.")
    sides = []
    for axis, mm in enumerate(grid.spacing_irc_mm):
        line = hu[tuple(slice(None) if a == axis else int(k) for a, k in enumerate(centre))]
        longest = len(line) if diameter_mm is None else max(FIRST_RADIUS, int(np.ceil(REACH * diameter_mm / mm)))
        at = int(centre[axis])
        radius = _walk(line, at, longest)
        sides.append((max(at - radius, 0), min(at + radius + 1, len(line))))
    i, r, c = sides
    mask = np.asarray(hu[i[0] : i[1], r[0] : r[1], c[0] : c[1]] > DENSE_HU)
    mask[tuple(int(at) - low for at, (low, _) in zip(centre, sides, strict=True))] = True
    return (i, r, c), mask


def _walk(line: npt.NDArray[np.int16], at: int, longest: int) -> int:
    """The first radius at which an end is not dense, or the last one on the line."""
    last = min(longest, at, len(line) - 1 - at)
    radius = FIRST_RADIUS
    while radius < last and line[at + radius] > DENSE_HU and line[at - radius] > DENSE_HU:
        radius += 1
    return radius


def contour_mask(grid: Grid, contours: Sequence[Contour]) -> Mask:
    """Voxels inside the outlines and not in their holes: (I,R,C) bool on the grid.

    A voxel is inside when its centre is, by the even-odd rule; on the outline it is outside, as LIDC-IDRI draws the first
    pixels that are no longer nodule (McNitt-Gray et al., Academic Radiology 14(12), 2007). Each outline counts on the slice
    nearest to it; what lies off the grid is left out.
    """
    mask = np.zeros(grid.shape, bool)
    for is_border in (True, False):
        for z, corners, inclusion in contours:
            if inclusion != is_border:
                continue
            irc = grid.irc(np.array([(x, y, z) for x, y in corners])).round(6)
            level = round(float(irc[:, 0].mean()))
            if 0 <= level < grid.shape[0]:
                mask[level][_strictly_inside(irc[:, 1:], (grid.shape[1], grid.shape[2]))] = is_border
    return mask


def _strictly_inside(outline: npt.NDArray[np.float64], size: tuple[int, int]) -> Mask:
    inside = filled(outline, size)
    rows, columns = np.nonzero(inside)
    for (r0, c0), (r1, c1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        length2 = (r1 - r0) ** 2 + (c1 - c0) ** 2
        if length2 == 0:
            along = np.zeros(len(rows))
        else:
            along = np.clip(((rows - r0) * (r1 - r0) + (columns - c0) * (c1 - c0)) / length2, 0, 1)
        off = np.hypot(rows - r0 - along * (r1 - r0), columns - c0 - along * (c1 - c0))
        inside[rows[off <= ON_BORDER], columns[off <= ON_BORDER]] = False
    return inside


def filled(outline: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(rows, columns) pixels whose centres lie inside a polygon of (row, column) corners, by the even-odd rule."""
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
    inside = np.zeros(size, bool)
    for (r0, c0), (r1, c1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if r0 == r1:
            continue
        crosses = (r0 > rows) != (r1 > rows)
        inside ^= crosses & (columns < (c1 - c0) * (rows - r0) / (r1 - r0) + c0)
    return inside


def contour_part(grid: Grid, contours: Sequence[Contour]) -> tuple[Box, Mask]:
    """The same in the smallest box of the grid that holds the outlines, with a voxel around them.

    Outlines too small to hold a voxel's centre give the voxel in their middle. Raises InputRefused for those off the grid.
    """
    points = grid.irc(np.array([(x, y, z) for z, corners, _ in contours for x, y in corners]))
    low = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 2, grid.shape)
    if (low >= high).any():
        raise InputRefused("a reader's contours lie outside the scan; they are of another scan.")
    i, r, c = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    mask = contour_mask(grid.part((i, r, c)), contours)
    if not mask.any():
        mask[tuple(np.clip(np.rint(points.mean(axis=0)).astype(int) - low, 0, high - low - 1))] = True
    return (i, r, c), mask


def agreed_part(grid: Grid, readings: Sequence[Sequence[Contour]]) -> tuple[Box, npt.NDArray[np.float32]]:
    """The share of the readers, 0 to 1, in whose contours each voxel of a box lies."""
    box, _ = contour_part(grid, [contour for reading in readings for contour in reading])
    part = grid.part(box)
    votes = [contour_mask(part, reading) for reading in readings]
    return box, np.mean(votes, axis=0, dtype=np.float32)


def carried(share: npt.NDArray[np.float32], of: Grid, grid: Grid) -> tuple[Box, npt.NDArray[np.float32]]:
    """`share` on the grid `of`, interpolated linearly where another grid of the same patient covers it; 0 outside `of`."""
    i, r, c = of.shape
    box = grid.cover(((0, i), (0, r), (0, c)), of)
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in box), indexing="ij"), axis=-1)
    at = np.moveaxis(of.irc(grid.xyz(index)), -1, 0)
    return box, np.asarray(ndimage.map_coordinates(share, at, order=1, mode="constant", prefilter=False))
