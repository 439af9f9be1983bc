"""Drawing into a volume: tubes and balls in their bounding boxes, smooth fields from a coarse lattice.

Everything is drawn in the grid's own frame: millimetres along I, R and C. The direction is orthonormal, so distances are
those of the patient, and an oblique scan costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lungscan.volume import Array, Grid

Field = npt.NDArray[np.float32]
STRIDE_IRC = (2, 4, 4)
"""Voxels between points of the coarse lattice on which large organs are described: 4 to 5 mm, far below their curvature."""


class Tubes(NamedTuple):
    """Straight tubes with round ends: start and end (N,3) in XYZ mm, radius at both (N,) in mm."""

    start: Array
    end: Array
    radius_start: Array
    radius_end: Array


class Boxed(NamedTuple):
    """What one tube is to the voxels of its bounding box."""

    box: tuple[slice, slice, slice]
    distance: Field  # mm to the tube's surface, negative inside
    extent: Field  # mm that a voxel extends along the way to the tube
    radius: float  # mm, mean


def path_tubes(points: npt.ArrayLike, radius: float) -> Tubes:
    """A polyline (N,3) of one radius."""
    line = np.asarray(points, dtype=np.float64)
    radii = np.full(len(line) - 1, float(radius))
    return Tubes(line[:-1], line[1:], radii, radii)


def join(parts: list[Tubes]) -> Tubes:
    return Tubes(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def frame_mm(grid: Grid, xyz: npt.ArrayLike) -> Array:
    """Patient positions (...,3) in the grid's frame: mm along I, R, C from voxel (0,0,0)."""
    return np.asarray(grid.irc(np.asarray(xyz, dtype=np.float64)) * np.asarray(grid.spacing_irc_mm))


def box_axes(grid: Grid, low: Array, high: Array) -> tuple[tuple[slice, slice, slice], list[Field]] | None:
    """The voxels from `low` to `high` (frame mm) and their positions along each axis, None where there are none."""
    spacing = np.asarray(grid.spacing_irc_mm)
    first = np.maximum(np.ceil(low / spacing), 0).astype(int)
    last = np.minimum(np.floor(high / spacing) + 1, grid.shape).astype(int)
    if np.any(first >= last):
        return None
    axes = [
        (np.arange(first[k], last[k]) * spacing[k]).astype(np.float32).reshape([-1 if k == j else 1 for j in range(3)])
        for k in range(3)
    ]
    i, r, c = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return (i, r, c), axes


def tubes_in_boxes(grid: Grid, tubes: Tubes, margin_mm: float) -> Iterator[Boxed]:
    """Each tube that touches the volume, in the box that reaches `margin_mm` past its surface."""
    starts, ends = frame_mm(grid, tubes.start), frame_mm(grid, tubes.end)
    s2 = np.asarray(grid.spacing_irc_mm, dtype=np.float32) ** 2
    for a, b, ra, rb in zip(starts, ends, tubes.radius_start, tubes.radius_end, strict=True):
        reach = max(ra, rb) + margin_mm
        found = box_axes(grid, np.minimum(a, b) - reach, np.maximum(a, b) + reach)
        if found is None:
            continue
        box, (zi, zr, zc) = found
        ab = (b - a).astype(np.float32)
        di, dr, dc = zi - np.float32(a[0]), zr - np.float32(a[1]), zc - np.float32(a[2])
        along = (di * ab[0] + dr * ab[1] + dc * ab[2]) / np.float32(ab @ ab + 1e-6)
        np.clip(along, 0, 1, out=along)
        i2, r2, c2 = (di - along * ab[0]) ** 2, (dr - along * ab[1]) ** 2, (dc - along * ab[2]) ** 2
        square = i2 + r2 + c2 + np.float32(1e-4)
        extent = np.sqrt((i2 * s2[0] + r2 * s2[1] + c2 * s2[2]) / square)
        distance = np.sqrt(square) - (np.float32(ra) + along * np.float32(rb - ra))
        yield Boxed(box, distance, extent, float(ra + rb) / 2)


def share(distance: Field, extent: Field | float) -> Field:
    """How much of a voxel lies inside a surface at this distance (partial volume): 0 to 1."""
    return np.asarray(np.clip(np.float32(0.5) - distance / extent, 0, 1), dtype=np.float32)


def lattice(grid: Grid) -> Grid:
    """The coarse lattice over a grid; its last point lies on or behind the grid's last voxel on each axis."""
    shape = tuple((n - 1 + step - 1) // step + 1 for n, step in zip(grid.shape, STRIDE_IRC, strict=True))
    spacing = tuple(s * step for s, step in zip(grid.spacing_irc_mm, STRIDE_IRC, strict=True))
    return Grid((shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]), grid.origin_xyz_mm, grid.direction)


def slice_of(field: Field, index: int, shape_rc: tuple[int, int]) -> Field:
    """One slice (R,C) of a coarse field, interpolated linearly."""
    low, rest = divmod(index, STRIDE_IRC[0])
    plane = field[low]
    if rest:
        plane = plane + (field[low + 1] - plane) * np.float32(rest / STRIDE_IRC[0])
    rows = _stretch(plane, STRIDE_IRC[1], shape_rc[0])
    return _stretch(rows.T, STRIDE_IRC[2], shape_rc[1]).T


def _stretch(plane: Field, step: int, length: int) -> Field:
    """Linear interpolation along the first axis by a whole factor."""
    out = np.empty(((len(plane) - 1) * step + 1, plane.shape[1]), dtype=np.float32)
    change = np.diff(plane, axis=0)
    for k in range(step):
        out[k : len(out) - 1 : step] = plane[:-1] + change * np.float32(k / step)
    out[-1] = plane[-1]
    return out[:length]
