"""What the readers of volume files share: grids from the numbers in their headers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.gate import placed
from lungscan.volume import Array, Grid, Shape, triple

UNIT = 1e-3
"""How far directions may be from perpendicular unit vectors."""

FARTHEST_MM = 1e6

MOST_SKIPPED = 10**6
"""Bytes or lines of another header that may stand ahead of the voxels."""

VOXELS = 2**31
"""No chest CT has more (2048 slices of 1024 x 1024); a header that says so is damaged."""


def axis_aligned(
    name: str, shape: Shape, spacing_irc_mm: Sequence[float], origin_xyz_mm: Sequence[float], direction: Array
) -> Grid:
    """A grid from a header's numbers, directions made exactly perpendicular. Raises InputRefused for what is none, or none
    of a chest: before any voxel is read."""
    if min(shape) < 1 or int(np.prod([float(n) for n in shape])) > VOXELS:
        raise InputRefused(f"{name} gives its size as {' x '.join(map(str, shape))} voxels, which is no volume.")
    if not np.isfinite(spacing_irc_mm).all() or min(spacing_irc_mm) <= 0:
        raise InputRefused(f"{name} gives a spacing of {tuple(spacing_irc_mm)}, which must be three positive numbers.")
    if not np.abs(origin_xyz_mm).max() <= FARTHEST_MM:
        raise InputRefused(f"{name} lies at {tuple(origin_xyz_mm)}, which is no place in a patient.")
    if not np.abs(direction).max() <= 2 or np.abs(direction.T @ direction - np.eye(3)).max() > 2 * UNIT:
        raise InputRefused(f"{name}: its axis directions are not perpendicular unit vectors; re-grid it first.")
    u, _, v = np.linalg.svd(direction)
    exact = direction if np.abs(direction.T @ direction - np.eye(3)).max() < 1e-12 else u @ v
    grid = Grid(shape, triple(spacing_irc_mm), triple(origin_xyz_mm), np.asarray(exact, np.float64))
    placed(name, grid)
    return grid


def from_affine(name: str, shape: Shape, affine_xyz: Array) -> Grid:
    """A grid from a 4x4 affine that takes column, row and slice to LPS millimetres."""
    if not np.abs(affine_xyz).max() <= FARTHEST_MM:
        raise InputRefused(f"{name}: its axes hold what is no number, or far too large a one; place is unknown.")
    steps = np.linalg.norm(affine_xyz[:3, :3], axis=0)
    if steps.min() <= 0:
        raise InputRefused(f"{name}: its axes have no direction or a length of 0; place is unknown.")
    return axis_aligned(name, shape, steps[::-1].tolist(), affine_xyz[:3, 3].tolist(), affine_xyz[:3, :3] / steps)


def whole(name: str, field: str, value: str) -> int:
    """A count in a header's text. Raises InputRefused when it is none."""
    try:
        return int(value)
    except ValueError:
        raise InputRefused(f"{name}: {field} is {value[:60]!r}, not a whole number.") from None
