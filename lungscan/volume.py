"""One CT volume and its geometry: the only place where index and patient coordinates meet.

(I,R,C) is slice, row, column: array order. (X,Y,Z) is patient millimetres, LPS: +X to the patient's left, +Y to the back,
+Z to the head. A voxel's position is that of its centre:

    xyz = direction @ (crs * spacing_xyz) + origin,   crs = (C, R, I)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flat = npt.NDArray[np.int64]
"""Indices into a flattened array."""
Point = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer]
Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Half-open index ranges along I, R and C."""

AIR_HU = -1024
"""What stands outside the scanner's field of view, whatever padding the file used."""


@dataclass(frozen=True)
class Notice:
    """Something a reader of the report should know: a stable code and one sentence."""

    code: str
    message: str


@dataclass(frozen=True)
class Source:
    """Where a volume came from. `facts` holds what the file says of the acquisition (kernel, maker, thickness, ...)."""

    path: str
    format: str
    series_uid: str
    skipped_series: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Where voxels lie in the patient.

    shape           : number of slices, rows, columns
    spacing_irc_mm  : distance between voxel centres along I, R, C
    origin_xyz_mm   : centre of voxel (0,0,0)
    direction       : (3,3) float64, columns are the unit vectors in XYZ of increasing column, row and slice
    """

    shape: Shape
    spacing_irc_mm: Triple
    origin_xyz_mm: Triple
    direction: Array

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_irc_mm))

    def xyz(self, irc: Point) -> Array:
        """Patient position in mm of index points, (...,3) to (...,3); fractions of a voxel are kept."""
        crs = np.asarray(irc, dtype=np.float64)[..., ::-1]
        return np.asarray((crs * self.spacing_irc_mm[::-1]) @ self.direction.T + np.asarray(self.origin_xyz_mm))

    def irc(self, xyz: Point) -> Array:
        """Index, not rounded, of patient positions in mm, (...,3) to (...,3)."""
        offset = np.asarray(xyz, dtype=np.float64) - np.asarray(self.origin_xyz_mm)
        crs = (offset @ np.linalg.inv(self.direction).T) / np.asarray(self.spacing_irc_mm[::-1])
        return np.asarray(crs[..., ::-1])

    def part(self, box: Box) -> Grid:
        """The grid of a box of these voxels."""
        (i0, i1), (r0, r1), (c0, c1) = box
        return replace(self, shape=(i1 - i0, r1 - r0, c1 - c0), origin_xyz_mm=triple(self.xyz((i0, r0, c0))))

    def cover(self, box: Box, of: Grid) -> Box:
        """The smallest box of whole voxels of this grid that covers `box` of another one, clamped to this grid."""
        faces = [(lo - 0.5, hi - 0.5) for lo, hi in box]
        corners = np.array([[i, r, c] for i in faces[0] for r in faces[1] for c in faces[2]])
        at = self.irc(of.xyz(corners))
        low = np.floor(at.min(axis=0) + 0.5 + 1e-6)
        high = np.ceil(at.max(axis=0) + 0.5 - 1e-6)
        i, r, c = (
            (int(np.clip(lo, 0, n - 1)), int(np.clip(hi, 1, n))) for lo, hi, n in zip(low, high, self.shape, strict=True)
        )
        return i, r, c


def series_hash(series_uid: str) -> str:
    """The first 16 hex digits of SHA-256 of a series UID: enough to recognise a scan, not enough to name one."""
    return hashlib.sha256(series_uid.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Volume:
    """HU on a regular, orthogonal grid: `hu` is (I,R,C) int16, any strides."""

    hu: npt.NDArray[np.int16]
    grid: Grid
    source: Source
    notices: tuple[Notice, ...] = ()

    def canonical(self) -> Volume:
        """The same voxels as a view whose slices rise to the head, rows to the back and columns to the patient's left.

        Axes are swapped and flipped, never interpolated: an oblique scan stays oblique, by less than 45 degrees. Every
        stage after the readers works in this order, so a scan gives the same nodules however its file lays out the axes.
        """
        affinity = np.abs(self.grid.direction)  # [patient axis, array axis as x, y, z]
        order_xyz = max(_PERMUTATIONS, key=lambda p: sum(affinity[axis, p[axis]] for axis in range(3)))
        direction = self.grid.direction[:, order_xyz]
        spacing_xyz = np.asarray(self.grid.spacing_irc_mm[::-1])[list(order_xyz)]
        hu = self.hu.transpose([2 - order_xyz[axis] for axis in (2, 1, 0)])
        origin = np.asarray(self.grid.origin_xyz_mm, dtype=np.float64)
        for axis in range(3):
            if direction[axis, axis] < 0:
                last = hu.shape[2 - axis] - 1
                origin = origin + direction[:, axis] * spacing_xyz[axis] * last
                direction[:, axis] *= -1
                hu = np.flip(hu, 2 - axis)
        return replace(self, hu=hu, grid=Grid(hu.shape, triple(spacing_xyz[::-1]), triple(origin), direction))

    def sha256(self) -> str:
        """Hash of the voxels and their layout; the same scan read from another format has the same one."""
        digest = hashlib.sha256(repr(self.hu.shape).encode())
        for plane in self.hu:
            digest.update(np.ascontiguousarray(plane, dtype="<i2").data)
        return digest.hexdigest()


_PERMUTATIONS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def triple(values: Point) -> Triple:
    """Three plain floats."""
    a, b, c = (float(v) for v in values)
    return a, b, c
