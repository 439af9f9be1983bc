"""The patient's organs on a fixed 4 mm lattice, for questions about places: what does not depend on any scan's grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.phantom.anatomy import Anatomy
from lungscan.phantom.canvas import Field
from lungscan.volume import Array, Grid

STEP_MM = 4.0
ATLAS = Grid((80, 68, 96), (STEP_MM,) * 3, (-190.0, -134.0, -160.0), np.eye(3))


@dataclass(frozen=True)
class Atlas:
    """Signed distances of one patient at any place."""

    fields: dict[str, Field]

    @classmethod
    def of(cls, anatomy: Anatomy) -> Atlas:
        fields = anatomy.fields(ATLAS)
        fields["lungs"] = np.minimum(fields["lung_right"], fields["lung_left"])
        return cls(fields)

    def at(self, name: str, xyz: npt.ArrayLike) -> Array:
        """Distance in mm to an organ's surface at places (N,3); negative inside."""
        index = ATLAS.irc(np.asarray(xyz, dtype=np.float64))
        return np.asarray(ndimage.map_coordinates(self.fields[name], index.T, order=1, mode="nearest"), dtype=np.float64)

    def outward(self, name: str, xyz: npt.ArrayLike) -> Array:
        """Unit vectors (N,3) that lead away from an organ at places (N,3)."""
        places = np.asarray(xyz, dtype=np.float64)
        steps = np.eye(3) * STEP_MM
        slope = np.stack([self.at(name, places + s) - self.at(name, places - s) for s in steps], axis=-1)
        return np.asarray(slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-9))

    def places(self, name: str, depth_mm: float, count: int, rng: np.random.Generator) -> Array:
        """Places (count,3), spread evenly over what lies at least `depth_mm` inside an organ."""
        inside = np.argwhere(self.fields[name] < -depth_mm)
        chosen = inside[rng.integers(len(inside), size=count)]
        return ATLAS.xyz(chosen + rng.uniform(-0.5, 0.5, chosen.shape))
