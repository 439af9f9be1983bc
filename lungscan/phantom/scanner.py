"""How a scanner samples a patient: grid, sharpness and noise, different from scan to scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lungscan.phantom.canvas import Field
from lungscan.volume import Array, Grid, Triple

Z_RANGE_MM = (-138.0, 140.0)
FIELD_OF_VIEW_MM = 356.0
KERNELS = {"soft": 0.95, "standard": 0.75, "sharp": 0.55}
"""Standard deviation of the noise's blur in pixels: a sharper kernel leaves finer grain."""


@dataclass(frozen=True)
class Scanner:
    """One scan's acquisition. `tilt` is the rotation of the grid against the patient."""

    spacing_irc_mm: Triple
    field_of_view_mm: float
    tilt: Array
    shift_xyz_mm: Triple
    kernel: str
    noise_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator, spacing_irc_mm: Triple | None) -> Scanner:
        """A scanner from the range in use; one scan in four is oblique by 2 to 8 degrees about one axis."""
        slices = float(rng.choice([1.5, 2.0, 2.0, 2.5, 2.5]))
        pixel = float(rng.choice([0.95, 1.0] if slices < 2 else [0.85, 0.9, 0.95, 1.0]))
        kernel = str(rng.choice(list(KERNELS)))
        noise = rng.uniform(15, 24) + (12 if kernel == "sharp" else 0)
        angle = np.deg2rad(rng.uniform(2, 8) * rng.choice([-1, 1])) if rng.random() < 0.25 else 0.0
        axis = int(rng.integers(3))
        x, y, z = (float(v) for v in np.round(rng.uniform((-8, -6, -8), (8, 10, 8)), 2))
        field = FIELD_OF_VIEW_MM + float(rng.uniform(-6, 14))
        return cls(spacing_irc_mm or (slices, pixel, pixel), field, rotation(axis, angle), (x, y, z), kernel, noise)

    def grid(self) -> Grid:
        """A grid around the shifted centre of the patient."""
        si, sr, sc = self.spacing_irc_mm
        low, high = Z_RANGE_MM
        shape = (round((high - low) / si), round(self.field_of_view_mm / sr), round(self.field_of_view_mm / sc))
        half = (np.array(shape[::-1]) - 1) / 2 * [sc, sr, si]
        centre = np.add(self.shift_xyz_mm, (0, 0, (low + high) / 2))
        x, y, z = (round(float(v), 4) for v in centre - self.tilt @ half)
        return Grid(shape, self.spacing_irc_mm, (x, y, z), self.tilt)

    def blur(self, hu: Field) -> Field:
        """The focus and the kernel: a little over neighbouring voxels."""
        sigma = 0.35 if self.kernel == "sharp" else 0.5
        return np.asarray(ndimage.gaussian_filter(hu, (0.3, sigma, sigma), truncate=3.0), dtype=np.float32)

    def noise(self, shape: tuple[int, int, int], rng: np.random.Generator) -> Field:
        """Correlated noise in HU whose spectrum falls to both sides, as filtered backprojection leaves it."""
        white = rng.standard_normal(shape, dtype=np.float32)
        sigma = KERNELS[self.kernel]
        grain = ndimage.gaussian_filter(white, (0.45, sigma, sigma), truncate=3.0)
        grain -= 0.8 * ndimage.uniform_filter1d(ndimage.uniform_filter1d(grain, 7, axis=1), 7, axis=2)
        return np.asarray(grain * np.float32(self.noise_hu / float(np.std(grain))), dtype=np.float32)


def rotation(axis: int, angle: float) -> Array:
    """(3,3) rotation by `angle` radians about patient axis 0, 1 or 2."""
    a, b = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix
