"""The large organs of one synthetic patient as signed distances in patient space, negative inside.

Each organ is an implicit function of (X,Y,Z) with lengths in the range of an adult's; it is divided by its own gradient,
which turns it into a distance near its surface. The frame: x = 0 the midline, y = 0 the middle of the thorax, z = 0 about
the carina; +x left, +y back, +z head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungscan.phantom.canvas import Field
from lungscan.volume import Array, Grid

VERTEBRA_MM = 23.0
"""Height of a thoracic vertebra with its disc."""


@dataclass(frozen=True)
class Anatomy:
    """One patient's measures in mm. Pairs are (right, left)."""

    half_width: float  # of one pleural cavity
    half_depth: float
    middle: float  # distance of a cavity's axis from the midline
    apex: float  # z
    squareness: float  # exponent of the superellipse
    wall: float  # thorax wall between pleura and the body's muscles
    fat: float  # under the skin
    dome_top: tuple[float, float]
    dome_depth: float
    heart_centre: tuple[float, float, float]
    heart_axes: tuple[float, float, float]
    mediastinum: float  # half width
    spine_y: float
    fissure_tilt: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Anatomy:
        size = rng.normal(1.0, 0.04)
        half_depth = 88 * size * rng.uniform(0.93, 1.05)
        right = -48 + rng.uniform(-14, 10)
        return cls(
            half_width=70 * size,
            half_depth=half_depth,
            middle=56 * size,
            apex=122 * size,
            squareness=rng.uniform(2.4, 2.8),
            wall=rng.uniform(11, 14),
            fat=rng.uniform(6, 16),
            dome_top=(right, right - rng.uniform(6, 16)),
            dome_depth=rng.uniform(60, 74),
            heart_centre=(rng.uniform(20, 27), -0.27 * half_depth, right - 6),
            heart_axes=(60 * size * rng.uniform(0.93, 1.08), 44 * size, 50 * size),
            mediastinum=rng.uniform(23, 29),
            spine_y=0.62 * half_depth,
            fissure_tilt=rng.uniform(0.8, 1.15),
        )

    def fields(self, grid: Grid) -> dict[str, Field]:
        """Distances in mm on a lattice, each (I,R,C): body, thorax, lung_right, lung_left, diaphragm, heart, fissures."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
        x, y, z = np.moveaxis(grid.xyz(index), -1, 0)

        def distance(f: Array) -> Array:
            slopes = np.gradient(f, *grid.spacing_irc_mm)
            return np.asarray(f / np.sqrt(sum(s * s for s in slopes) + 1e-12))

        cavities = [distance(self._cavity(side * x, y, z)) for side in (-1, 1)]
        domes = [distance(self._dome(side * x, y, z, top)) for side, top in zip((-1, 1), self.dome_top, strict=True)]
        heart = distance(self._heart(x, y, z))
        inner = _smooth_min(distance(self._mediastinum(x, y, z)), heart - 3, 5)
        inner = _smooth_min(inner, distance(np.hypot(x / 1.2, y - self.spine_y) - 17), 6)
        aorta = np.hypot(x - 21, y - self.spine_y + 7) - 16 + np.maximum(z - 45, 0)
        inner = _smooth_min(inner, distance(aorta), 5)
        lungs = [_smooth_max(_smooth_max(c, d, 5), -inner, 5) for c, d in zip(cavities, domes, strict=True)]
        lungs = [np.maximum(lung, -side * x) for side, lung in zip((-1, 1), lungs, strict=True)]
        oblique = distance(y * self.fissure_tilt - 22 - z + 0.0016 * x * x)
        minor = distance(z - 4 + 0.0011 * (x + 60) ** 2 + 0.0012 * (y + 40) ** 2)
        thorax = _smooth_min(cavities[0], cavities[1], 26)
        out = {
            "body": distance(self._body(x, y, z)),
            "thorax": thorax,
            "diaphragm": np.where(x < 0, domes[0], domes[1]),
            "heart": heart,
            "lung_right": lungs[0],
            "lung_left": lungs[1],
            "oblique": oblique,
            "minor": np.where(x < 0, minor, 99.0),
        }
        return {name: f.astype(np.float32) for name, f in out.items()}

    def _cavity(self, outward: Array, y: Array, z: Array) -> Array:
        """A superellipsoid above, a straight tube below; `outward` is |x| on its own side, negative past the midline."""
        n = self.squareness
        h = np.maximum(z + 45, 0) / (self.apex + 45)
        lean = 16 * h**2  # the apex lies further back and inwards
        across = np.abs(outward - self.middle + lean) / (self.half_width * (1 - 0.12 * h))
        along = np.abs(y - lean) / (self.half_depth * (1 - 0.12 * h))
        return np.asarray((across**n + along**n + h**2.2) ** (1 / n) - 1)

    def _dome(self, outward: Array, y: Array, z: Array, top: float) -> Array:
        across = (outward - self.middle + 8) / self.half_width
        along = (y + 14) / self.half_depth
        return np.asarray(top - self.dome_depth * (across**2 + along**2) ** 1.15 - z)

    def _mediastinum(self, x: Array, y: Array, z: Array) -> Array:
        """Narrow behind the sternum, wide at the great vessels and hila."""
        swell = 1 / (1 + np.exp(-(y + 0.42 * self.half_depth - 0.12 * np.abs(z)) / 8))
        hilum = 9 * np.exp(-(((z + 8) / 26) ** 2) - ((y - 2) / 22) ** 2)
        arch = 7 * np.exp(-(((z - 40) / 20) ** 2) - ((y - 5) / 30) ** 2) * (x > 0)
        return np.asarray(np.abs(x - 2) - 4 - (self.mediastinum - 4) * swell - hilum - arch)

    def _heart(self, x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = (v - c for v, c in zip((x, y, z), self.heart_centre, strict=True))
        turn, tilt = np.deg2rad(-32.0), np.deg2rad(20.0)  # the apex points to the left, the front and the feet
        along, across = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
        along, up = np.cos(tilt) * along - np.sin(tilt) * dz, np.sin(tilt) * along + np.cos(tilt) * dz
        a, b, c = self.heart_axes
        return np.asarray(np.sqrt((along / a) ** 2 + (across / b) ** 2 + (up / c) ** 2) - 1)

    def _body(self, x: Array, y: Array, z: Array) -> Array:
        shoulders = 1 / (1 + np.exp(-(z - 85) / 14))
        across = self.middle + self.half_width + self.wall + self.fat + 12 + 24 * shoulders
        along = self.half_depth + self.wall + self.fat + 11 - 6 * shoulders
        groove = 5 * np.exp(-((x / 16) ** 2)) * (np.abs(y) / along) ** 4  # the furrows over sternum and spine
        return np.asarray(((np.abs(x) / across) ** 2.4 + (np.abs(y - 4) / (along - groove)) ** 2.4) ** (1 / 2.4) - 1)


def _smooth_min(a: Array, b: Array, k: float) -> Array:
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.asarray(np.minimum(a, b) - h * h * k / 4)


def _smooth_max(a: Array, b: Array, k: float) -> Array:
    return -_smooth_min(-a, -b, k)
