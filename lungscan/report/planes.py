"""Flat pictures of the patient: where their pixels lie, and what a volume shows there.

Radiological convention: an axial picture is seen from the feet, a coronal one from the front, so the left of the picture is
the patient's right; a sagittal one is seen from the patient's left, with the front on the left of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.volume import Array, Grid, Point

Values = npt.NDArray[np.float32]

_LETTERS = ("RL", "AP", "FH")
_TOLD = 0.25
"""Least share of a direction, as a cosine, that gets its letter: about 15 degrees off the patient's axis."""

VIEWS = {"axial": (0, 1, 1), "coronal": (0, 2, -1), "sagittal": (1, 2, -1)}
"""The axis (of X, Y, Z) along which columns of pixels run, the one along which rows run, and the sign of the latter."""


@dataclass(frozen=True)
class Plane:
    """Square pixels on a plane through the patient.

    centre_xyz_mm : what lies in the middle
    right, down   : (3,) unit vectors in LPS along which columns and rows of pixels run
    shape         : rows and columns of pixels
    pixel_mm      : edge of a pixel
    """

    centre_xyz_mm: Array
    right: Array
    down: Array
    shape: tuple[int, int]
    pixel_mm: float

    @classmethod
    def of(cls, view: str, axes: Grid, centre_xyz_mm: Point, shape: tuple[int, int], pixel_mm: float) -> Plane:
        """One of VIEWS along the axes of a canonical grid: of an oblique scan along its own slices, not the patient's."""
        across, along, sign = VIEWS[view]
        right, down = axes.direction[:, across], sign * axes.direction[:, along]
        return cls(np.asarray(centre_xyz_mm, np.float64), right, down, shape, pixel_mm)

    def pixel(self, xyz_mm: Point) -> tuple[float, float]:
        """Column and row, not rounded, onto which a patient position falls along the line of sight."""
        offset = (np.asarray(xyz_mm, np.float64) - self.centre_xyz_mm) / self.pixel_mm
        return float(offset @ self.right) + (self.shape[1] - 1) / 2, float(offset @ self.down) + (self.shape[0] - 1) / 2

    def _corner(self) -> Array:
        """Patient position of the first pixel."""
        rows, columns = ((n - 1) / 2 * self.pixel_mm for n in self.shape)
        return np.asarray(self.centre_xyz_mm - rows * self.down - columns * self.right)

    def letters(self) -> tuple[str, str, str, str]:
        """The patient's side at the left, right, top and bottom of the picture: R or L, A or P, H or F."""
        return towards(-self.right), towards(self.right), towards(-self.down), towards(self.down)

    def sample(self, values: npt.NDArray[Any], grid: Grid, *, outside: float, order: int = 1) -> Values:
        """(H,W) values of a volume (I,R,C) on `grid`, by splines of this order; `outside` where the volume has no voxel."""
        first, below, beside = grid.irc(self._corner() + self.pixel_mm * np.stack([0 * self.down, self.down, self.right]))
        row, column = np.arange(self.shape[0])[:, None, None], np.arange(self.shape[1])[:, None]
        at = first + row * (below - first) + column * (beside - first)
        low, high = at.min(axis=(0, 1)), at.max(axis=(0, 1))
        spans = [(max(int(a) - 3, 0), min(int(b) + 5, n)) for a, b, n in zip(low, high, values.shape, strict=True)]
        if any(a >= b for a, b in spans):
            return np.full(self.shape, outside, np.float32)
        part = np.asarray(values[tuple(slice(a, b) for a, b in spans)], np.float32)
        index = np.moveaxis(at - [a for a, _ in spans], -1, 0)
        sampled = ndimage.map_coordinates(part, index, order=order, mode="nearest")
        inside = ((at >= -0.5) & (at <= np.array(values.shape) - 0.5)).all(axis=-1)
        return np.where(inside, sampled, np.float32(outside)).astype(np.float32)


def towards(direction: Array) -> str:
    """The letters of the patient's sides to which a direction (3,) in LPS leads, the nearest first."""
    order = np.argsort(-np.abs(direction), kind="stable")
    return "".join(_LETTERS[k][int(direction[k] > 0)] for k in order if abs(direction[k]) >= _TOLD)
