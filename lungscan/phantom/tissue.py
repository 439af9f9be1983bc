"""What the organs are made of: HU painted slice by slice from their distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lungscan.phantom.canvas import Field, share
from lungscan.volume import Grid

AIR, FAT, MUSCLE, SKIN = -1000.0, -105.0, 52.0, 15.0
EDGE_MM = 1.2
"""Width of the border between two large organs."""


@dataclass(frozen=True)
class Tissue:
    """One patient's densities in HU."""

    lung: float
    gravity: float  # HU per mm towards the back
    blood: float
    liver: float
    spleen: float
    fat_mm: float
    emphysema: float  # HU of the lung's coarse texture

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Tissue:
        contrast = rng.uniform(70, 160) if rng.random() < 0.4 else 0.0
        return cls(
            lung=rng.uniform(-885, -840),
            gravity=rng.uniform(0.2, 0.5),
            blood=42 + contrast,
            liver=58 + 0.4 * contrast,
            spleen=50 + 0.5 * contrast,
            fat_mm=rng.uniform(5, 15),
            emphysema=rng.uniform(8, 22),
        )

    def textures(self, lattice: Grid, rng: np.random.Generator) -> dict[str, Field]:
        """Two smooth random fields of unit variance: of some 6 mm (lobules, muscle bundles) and of some 20 mm."""
        out = {}
        for name, mm in (("fine", 4.5), ("broad", 14.0)):
            white = rng.standard_normal(lattice.shape, dtype=np.float32)
            smooth = ndimage.gaussian_filter(white, [mm / s for s in lattice.spacing_irc_mm])
            out[name] = np.asarray(smooth / smooth.std(), dtype=np.float32)
        return out


def paint_slice(hu: Field, d: dict[str, Field], tissue: Tissue, xy: tuple[Field, Field]) -> None:
    """Fill one slice (R,C): air, skin, fat, muscle, mediastinum, heart, belly, lungs with fissures, the table."""
    x, y = xy
    fine, broad = d["fine"], d["broad"]
    hu[:] = AIR
    _over(hu, d["body"], SKIN)
    _over(hu, d["body"] + 1.8, FAT + 6 * fine)
    muscle = np.where(fine + 0.7 * broad > 1.45, FAT + 20, MUSCLE + 5 * fine)
    _over(hu, np.minimum(d["body"] + tissue.fat_mm + 3 * broad, d["thorax"] - 9), muscle)
    plane_of_fat = np.abs(d["thorax"] - 15 - 4 * broad) - np.float32(0.7)
    _over(hu, np.maximum(plane_of_fat, d["body"] + 4), FAT + 15)
    _over(hu, d["thorax"], FAT + 8 * fine)
    _over(hu, d["heart"], tissue.blood - 4 + 3 * fine)
    _belly(hu, d, tissue, x, y)
    density = tissue.lung + tissue.gravity * y + tissue.emphysema * (0.6 * fine + broad)
    for lung in ("lung_right", "lung_left"):
        _over(hu, d[lung], density)
    _fissures(hu, d)
    plate = y - 124 + np.float32(0.0011) * x * x
    hu += share(np.abs(plate - 8) - 8, 1.0) * (-820 - hu) * (hu < -900)
    hu += share(np.abs(np.abs(plate - 8) - 8) - np.float32(0.6), 1.0) * (-250 - hu) * (hu < -700) * (d["body"] > 0)


def _belly(hu: Field, d: dict[str, Field], tissue: Tissue, x: Field, y: Field) -> None:
    """Below the diaphragm: liver right, spleen left behind, stomach left before with a bubble of gas on top."""
    inside = np.maximum(d["thorax"] + 3, d["diaphragm"] * -1 + 3)
    inside = np.maximum(inside, 22 - np.hypot(x, y - 55))
    liver = np.maximum(inside, x - 34 + np.float32(0.25) * y)
    _over(hu, liver, tissue.liver + 3 * d["fine"])
    left = np.maximum(inside, 42 - x - np.float32(0.25) * y)
    _over(hu, np.maximum(left, 18 - y), tissue.spleen + 3 * d["fine"])
    stomach = np.maximum(left, np.maximum(y - 12, np.hypot(x - 72, (y + 28) * np.float32(1.2)) - 42))
    _over(hu, stomach, 35.0)
    _over(hu, stomach + 4, np.where(y < -38, np.float32(-960), np.float32(12)))


def _fissures(hu: Field, d: dict[str, Field]) -> None:
    """Thin sheets, a little denser than lung; the minor one only before the oblique one."""
    inside = np.minimum(d["lung_right"], d["lung_left"]) < -1
    minor = np.where(d["oblique"] < 0, np.abs(d["minor"]), 99)
    away = np.minimum(np.abs(d["oblique"]), minor)
    hu += inside * np.exp(-((away / np.float32(0.75)) ** 2)) * np.float32(130)


def _over(hu: Field, distance: Field, to: Field | float) -> None:
    """What is inside becomes `to`."""
    hu += share(distance, EDGE_MM) * (np.asarray(to, dtype=np.float32) - hu)
