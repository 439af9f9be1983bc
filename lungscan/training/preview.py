"""Contact sheets of a training cache: what the networks will be shown, to be looked at before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.errors import EngineUnavailable
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.training.splits import Set

Picture = npt.NDArray[np.uint8]
WINDOW_HU = (-1000, 400)
SIDE = 64  # pixels of a sample's side
ENLARGED = 3
COLUMNS, ROWS = 6, 5
GAP = 4
NODULE, LEFT_OUT = (255, 64, 64), (64, 160, 255)


def write_sheets(cache: Cache, entries: Sequence[Entry], sets: dict[str, Set], folder: Path) -> list[Path]:
    """training.png and validation.png in `folder`: one slice through each nodule, its label outlined in red, what is ignored
    in blue. Of more nodules than fit, every so manyth. A set without nodules has no sheet.

    Raises EngineUnavailable without pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise EngineUnavailable(
            "--preview needs pillow, which is not installed: pip install 'lungscan-ct[train]'."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in ("training", "validation"):
        samples = [(e, k) for e in entries if sets[e.patient] == name for k in range(len(e.nodules))]
        step = max(1, -(-len(samples) // (COLUMNS * ROWS)))
        if samples:
            path = folder / f"{name}.png"
            Image.fromarray(sheet(list(_pictures(cache, samples[::step])))).save(path)
            written.append(path)
    return written


def sheet(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one size side by side in rows of COLUMNS, on black: (H,W,3)."""
    height, width = (n + GAP for n in pictures[0].shape[:2])
    out = np.zeros((height * -(-len(pictures) // COLUMNS), width * min(COLUMNS, len(pictures)), 3), np.uint8)
    for k, picture in enumerate(pictures):
        r, c = k // COLUMNS * height, k % COLUMNS * width
        out[r : r + picture.shape[0], c : c + picture.shape[1]] = picture
    return out


def outlined(hu: npt.NDArray[np.int16], label: npt.NDArray[np.uint8]) -> Picture:
    """A slice in grey, enlarged, with the borders of its labels one pixel wide in colour: (H,W,3)."""
    low, high = WINDOW_HU
    grey = (np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    out = np.repeat(_enlarged(grey)[..., None], 3, axis=-1)
    large = _enlarged(label)
    for mask, colour in (((large > 0) & (large != IGNORED), NODULE), (large == IGNORED, LEFT_OUT)):
        out[mask & ~ndimage.binary_erosion(mask)] = colour
    return out


def _pictures(cache: Cache, samples: Sequence[tuple[Entry, int]]) -> Iterator[Picture]:
    for entry, k in samples:
        hu, _, label = cache.maps(entry)
        i, r, c = (int(v) for v in np.rint(entry.grid.irc(entry.nodules[k].centre_xyz_mm)))
        i = min(max(i, 0), entry.shape[0] - 1)
        yield outlined(_window(hu[i], r, c, WINDOW_HU[0]), _window(label[i], r, c, 0))


def _window(plane: npt.NDArray[Any], row: int, column: int, outside: int) -> npt.NDArray[Any]:
    padded = np.pad(plane, SIDE, constant_values=outside)
    r, c = (min(max(at, 0), n) + SIDE // 2 for at, n in zip((row, column), plane.shape, strict=True))
    return padded[r : r + SIDE, c : c + SIDE]


def _enlarged(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return plane.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
