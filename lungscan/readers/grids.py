"""What the readers of volume files share: grids from headers, and data of exactly the right size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lungscan.errors import InputRefused
from lungscan.volume import Array, Grid, Shape, triple

UNIT = 1e-3
"""How far directions may be from perpendicular unit vectors."""

VOXELS = 2**33
"""No chest CT has more; a header that says so is damaged."""


def axis_aligned(
    name: str, shape: Shape, spacing_irc_mm: Sequence[float], origin_xyz_mm: Sequence[float], direction: Array
) -> Grid:
    """A grid from a header's numbers, directions made exactly perpendicular. Raises InputRefused for what is none."""
    if min(shape) < 1 or int(np.prod([float(n) for n in shape])) > VOXELS:
        raise InputRefused(f"{name} gives its size as {' x '.join(map(str, shape))} voxels, which is no volume.")
    if not np.isfinite(spacing_irc_mm).all() or min(spacing_irc_mm) <= 0:
        raise InputRefused(f"{name} gives a spacing of {tuple(spacing_irc_mm)}, which must be three positive numbers.")
    if not np.isfinite(direction).all() or np.abs(direction.T @ direction - np.eye(3)).max() > 2 * UNIT:
        raise InputRefused(f"{name}: its axis directions are not perpendicular unit vectors; re-grid it first.")
    u, _, v = np.linalg.svd(direction)
    exact = direction if np.abs(direction.T @ direction - np.eye(3)).max() < 1e-12 else u @ v
    return Grid(shape, triple(spacing_irc_mm), triple(origin_xyz_mm), np.asarray(exact, np.float64))


def from_affine(name: str, shape: Shape, affine_xyz: Array) -> Grid:
    """A grid from a 4x4 affine that takes column, row and slice to LPS millimetres."""
    steps = np.linalg.norm(affine_xyz[:3, :3], axis=0)
    if not np.isfinite(affine_xyz).all() or steps.min() <= 0:
        raise InputRefused(f"{name}: its axes have no direction or a length of 0; place is unknown.")
    return axis_aligned(name, shape, steps[::-1].tolist(), affine_xyz[:3, 3].tolist(), affine_xyz[:3, :3] / steps)


def sized(name: str, data: bytes, wanted: int) -> bytes:
    if len(data) != wanted:
        raise InputRefused(f"{name}: its data hold {len(data)} bytes, not the {wanted} that its header asks for.")
    return data
