"""Contact sheets of a training cache: what the networks will be shown, to be looked at before training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan import files
from lungscan.errors import EngineUnavailable
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.training.splits import Set

Picture = npt.NDArray[np.uint8]
WINDOW_HU = (-1000, 400)
SIDE, SIDE_MM = 200, 80.0  # pixels and millimetres of a view
COLUMNS, ROWS = 4, 6
GAP, CAPTION = 6, 16  # pixels
NODULE, LEFT_OUT, LUNGS = (255, 64, 64), (64, 160, 255), (48, 128, 72)
LEGEND = "red: nodule   blue: left out   green: lungs   left: from the feet   right: from the front   bar: 10 mm"
LONGEST_NAME = 31


def pillow() -> tuple[Any, Any]:
    """Its modules Image and ImageDraw. Raises EngineUnavailable where it is not installed."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise EngineUnavailable(
            "--preview needs pillow, which is not installed: pip install 'lungscan-ct[train]'."
        ) from error
    return Image, ImageDraw


def write_sheets(cache: Cache, entries: Sequence[Entry], sets: dict[str, Set], folder: Path) -> list[Path]:
    """training.png and validation.png in `folder`: each nodule in two planes, with its label, what is left out and the lungs
    outlined. Of more nodules than fit, every so manyth. A set without nodules has no sheet.

    Raises EngineUnavailable without pillow, NotWritten.
    """
    image, _ = pillow()
    files.make_folder(folder)
    written = []
    for name in ("training", "validation"):
        samples = [(e, k) for e in entries if sets[e.patient] == name for k in range(len(e.nodules))]
        step = max(1, -(-len(samples) // (COLUMNS * ROWS)))
        if samples:
            path = folder / f"{name}.png"
            picture = io.BytesIO()
            image.fromarray(sheet(list(_tiles(cache, samples[::step])))).save(picture, "PNG")
            files.write_bytes(path, picture.getvalue())
            written.append(path)
    return written


def sheet(tiles: Sequence[Picture]) -> Picture:
    """Tiles of one size side by side in rows of COLUMNS, on black, over the legend: (H,W,3)."""
    height, width = (n + GAP for n in tiles[0].shape[:2])
    rows = -(-len(tiles) // COLUMNS)
    out = np.zeros((height * rows + CAPTION, width * min(COLUMNS, max(len(tiles), 2)), 3), np.uint8)
    for k, tile in enumerate(tiles):
        r, c = k // COLUMNS * height, k % COLUMNS * width
        out[r : r + tile.shape[0], c : c + tile.shape[1]] = tile
    return _written(out, LEGEND, height * rows)


def _tiles(cache: Cache, samples: Sequence[tuple[Entry, int]]) -> Iterator[Picture]:
    """A nodule from the feet and from the front, under its name, diameter and ratings."""
    for entry, k in samples:
        nodule = entry.nodules[k]
        views = np.hstack([outlined(*maps) for maps in _views(cache, entry, entry.grid.irc(nodule.centre_xyz_mm))])
        bar = round(10 * SIDE / SIDE_MM)
        views[-8:-5, 6 : 6 + bar] = 255
        name = entry.name if len(entry.name) <= LONGEST_NAME else f"...{entry.name[-LONGEST_NAME:]}"
        ratings = f"   rated {' '.join(map(str, nodule.ratings))}" if nodule.ratings else ""
        head = np.zeros((CAPTION, views.shape[1], 3), np.uint8)
        yield np.vstack([_written(head, f"{name}   {nodule.diameter_mm:.1f} mm{ratings}", 0), views])


def _views(cache: Cache, entry: Entry, centre_irc: npt.NDArray[np.float64]) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """HU, lungs and label in the planes of rows and columns, and of slices (the head up) and columns: (SIDE,SIDE) each."""
    maps = cache.maps(entry)
    mm = (np.arange(SIDE) - (SIDE - 1) / 2) * SIDE_MM / SIDE
    up, down, across = (at + mm / spacing for at, spacing in zip(centre_irc, entry.spacing_irc_mm, strict=True))
    level, front = (min(max(round(at), 0), n - 1) for at, n in zip(centre_irc[:2], entry.shape[:2], strict=True))
    for planes, first in (([m[level] for m in maps], down), ([m[:, front] for m in maps], up[::-1])):
        at = np.meshgrid(first, across, indexing="ij")
        yield tuple(
            ndimage.map_coordinates(np.asarray(plane, np.float32), at, order=order, cval=outside, prefilter=False)
            for plane, order, outside in zip(planes, (1, 0, 0), (WINDOW_HU[0], 0, 0), strict=True)
        )


def outlined(hu: npt.NDArray[Any], lungs: npt.NDArray[Any], label: npt.NDArray[Any]) -> Picture:
    """A plane in grey with the borders of its masks one pixel wide in colour: (H,W,3)."""
    low, high = WINDOW_HU
    grey = (np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    out = np.repeat(grey[..., None], 3, axis=-1)
    masks = ((lungs > 0, LUNGS), (label == IGNORED, LEFT_OUT), ((label > 0) & (label != IGNORED), NODULE))
    for mask, colour in masks:
        out[mask & ~ndimage.binary_erosion(mask, border_value=1)] = colour
    return out


def _written(picture: Picture, text: str, row: int) -> Picture:
    image, draw = pillow()
    canvas = image.fromarray(picture)
    draw.Draw(canvas).text((2, row + 2), text, fill=(220, 220, 220))
    return np.asarray(canvas)
