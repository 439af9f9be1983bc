"""Fixed-size crops around many centres."""

from __future__ import annotations

from collections.abc import Sequence

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


def crops(
    hu: npt.NDArray[np.int16], centres: npt.NDArray[np.float64], size: Shape, scales: Sequence[int], fill: int
) -> npt.NDArray[np.int16]:
    """(n, scales, *size) int16 crops of `hu` around `centres` (n, 3); where the volume is smaller than a crop stands `fill`.

    A crop of scale s spans s times `size` voxels; each of its voxels is the mean, rounded down, of a cube of s voxels.
    """
    out = np.empty((len(centres), len(scales), *size), dtype=np.int16)
    for k, scale in enumerate(scales):
        wide = (size[0] * scale, size[1] * scale, size[2] * scale)
        cut = np.full(wide, fill, dtype=np.int16)
        for row, (i, r, c) in zip(out, crop_starts(centres, wide, hu.shape), strict=True):
            part = hu[i : i + wide[0], r : r + wide[1], c : c + wide[2]]
            if part.shape != wide:
                cut[:] = fill
            cut[: part.shape[0], : part.shape[1], : part.shape[2]] = part
            row[k] = cut if scale == 1 else _mean(cut, scale)
    return out


def _mean(cut: npt.NDArray[np.int16], scale: int) -> npt.NDArray[np.int32]:
    """Means of cubes of scale**3 voxels, rounded down."""
    i, r, c = (n // scale for n in cut.shape)
    total = cut.reshape(i, scale, r, scale, c, scale).sum(axis=(1, 3, 5), dtype=np.int32)
    return np.asarray(total // scale**3)
