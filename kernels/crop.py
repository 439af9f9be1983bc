"""Fixed-size crops around many centres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.volume import Shape


def crop_starts(centres: npt.NDArray[np.float64], size: Shape, shape: Shape) -> npt.NDArray[np.int64]:
    """First voxel of the crop of `size` around each centre, (n, 3), shifted inside a volume of `shape` at its borders.

    Centres are rounded half to even, then `start = round(centre - size / 2)`, the book's rule. An axis shorter than the
    crop starts at 0.
    """
    start = np.rint(np.rint(centres) - np.asarray(size) / 2).astype(np.int64)
    return np.clip(start, 0, np.maximum(np.asarray(shape) - size, 0))


def crops(hu: npt.NDArray[np.int16], centres: npt.NDArray[np.float64], size: Shape, fill: int) -> npt.NDArray[np.int16]:
    """(n, *size) int16 crops of `hu` around `centres` (n, 3); where the volume is smaller than a crop stands `fill`."""
    out = np.full((len(centres), *size), fill, dtype=np.int16)
    for row, (i, r, c) in zip(out, crop_starts(centres, size, hu.shape), strict=True):
        part = hu[i : i + size[0], r : r + size[1], c : c + size[2]]
        row[: part.shape[0], : part.shape[1], : part.shape[2]] = part
    return out
