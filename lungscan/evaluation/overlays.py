"""What was found over the slice it was found in: green where marks and truth agree, red without truth, orange missed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lungscan.errors import EngineUnavailable

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LUNG_WINDOW_HU = (-1350, 150)
"""Level -600, width 1500."""

TRUE_POSITIVE = (0.0, 1.0, 0.0)
FALSE_POSITIVE = (1.0, 0.0, 0.0)
FALSE_NEGATIVE = (1.0, 0.5, 0.0)

OPACITY = 0.5


def overlay(hu: npt.NDArray[np.integer] | npt.NDArray[np.floating], found: Mask, truth: Mask) -> Picture:
    """The picture (H,W,3), values 0 to 1, of a slice (H,W) in HU with what was found (H,W) and what is there (H,W)."""
    low, high = LUNG_WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)
    out = np.repeat(grey[..., None], 3, axis=-1)
    colours = ((found & truth, TRUE_POSITIVE), (found & ~truth, FALSE_POSITIVE), (truth & ~found, FALSE_NEGATIVE))
    for mask, colour in colours:
        out[mask] = (1 - OPACITY) * out[mask] + OPACITY * np.asarray(colour, np.float32)
    return np.asarray(out, np.float32)


def write_png(picture: Picture, path: Path) -> None:
    """Write a picture (H,W,3), values 0 to 1, with 8 bits a colour. Raises EngineUnavailable without pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise EngineUnavailable(
            f"{path.name} needs pillow, which is not installed: pip install 'lungscan-ct[train]'."
        ) from error
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path, format="PNG")
