"""What was found over the slice it was found in: green where marks and truth agree, red without truth, orange missed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan import files
from lungscan.errors import EngineUnavailable
from lungscan.volume import Array

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LUNG_WINDOW_HU = (-1350, 150)
"""Level -600, width 1500."""

TRUE_POSITIVE = (0.0, 1.0, 0.0)
FALSE_POSITIVE = (1.0, 0.0, 0.0)
FALSE_NEGATIVE = (1.0, 0.5, 0.0)

OPACITY = 0.5

SIDE = 512  # pixels
TICK = (24, 36)  # pixels from a place at which a tick begins and ends


def overlay(hu: npt.NDArray[np.integer] | npt.NDArray[np.floating], found: Mask, truth: Mask) -> Picture:
    """The picture (H,W,3), values 0 to 1, of a slice (H,W) in HU with what was found (H,W) and what is there (H,W)."""
    low, high = LUNG_WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)
    out = np.repeat(grey[..., None], 3, axis=-1)
    colours = ((found & truth, TRUE_POSITIVE), (found & ~truth, FALSE_POSITIVE), (truth & ~found, FALSE_NEGATIVE))
    for mask, colour in colours:
        out[mask] = (1 - OPACITY) * out[mask] + OPACITY * np.asarray(colour, np.float32)
    return np.asarray(out, np.float32)


@dataclass(frozen=True)
class Frame:
    """A slice as large as it fits into (SIDE,SIDE) square pixels, in the middle: voxel = start + step * pixel, (2,) each."""

    start: Array
    step: Array

    @classmethod
    def of(cls, shape: Sequence[int], spacing_rc_mm: Sequence[float]) -> Frame:
        step = np.multiply(shape, spacing_rc_mm).max() / SIDE / np.asarray(spacing_rc_mm)
        return cls((np.asarray(shape) - 1) / 2 - step * (SIDE - 1) / 2, step)

    def framed(self, plane: npt.NDArray[Any], *, outside: float = 0.0, nearest: bool = False) -> Picture:
        """The slice (R,C) on the pixels, linear between voxels or the nearest voxel's value, `outside` around it."""
        options = {"output_shape": (SIDE, SIDE), "order": 0 if nearest else 1, "mode": "grid-constant", "cval": outside}
        values = plane.astype(np.float32)
        return np.asarray(ndimage.affine_transform(values, self.step, self.start, **options), np.float32)

    def point(self, picture: Picture, rc: Array) -> None:
        """Draw four white ticks about a voxel's place, in the picture itself."""
        row, column = np.rint((rc - self.start) / self.step).astype(int)
        near, far = TICK
        for low, high in ((-far, -near), (near, far)):
            for rows, columns in (((low, high), (0, 1)), ((0, 1), (low, high))):
                r, c = (slice(*np.clip(np.add(at, span), 0, SIDE)) for at, span in ((row, rows), (column, columns)))
                picture[r, c] = 1


def write_png(picture: Picture, path: Path) -> None:
    """Write a picture (H,W,3), values 0 to 1, with 8 bits a colour. Raises EngineUnavailable without pillow, NotWritten."""
    try:
        from PIL import Image
    except ImportError as error:
        raise EngineUnavailable(
            f"{path.name} needs pillow, which is not installed: pip install 'lungscan-ct[train]'."
        ) from error
    out = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(out, "PNG")
    files.write_bytes(path, out.getvalue())
