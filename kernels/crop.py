"""Fixed-size crops around many centres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lungscan.volume import Shape


def crop_starts(centres: npt.NDArray[np.float64], size: Shape) -> npt.NDArray[np.int64]:
    """First voxel of the crop of `size` around each centre, (n, 3).

    Centres are rounded half to even, then `start = round(centre - size / 2)`, the book's rule.
    """
    return np.rint(np.rint(centres) - np.asarray(size) / 2).astype(np.int64)


def crops(
    hu: npt.NDArray[np.int16], centres: npt.NDArray[np.float64], size: Shape, scales: Sequence[int], border: str
) -> npt.NDArray[np.int16]:
    """(n, scales, *size) int16 crops of `hu` around `centres` (n, 3).

    A crop of scale s spans s times `size` voxels; each of its voxels is the mean, rounded down, of a cube of s voxels. Where
    it would pass the volume's border it is moved inside ("shift", the book's rule) or shows the border again ("repeat"); a
    volume smaller than the crop is repeated either way.
    """
    out = np.empty((len(centres), len(scales), *size), dtype=np.int16)
    for k, scale in enumerate(scales):
        wide = (size[0] * scale, size[1] * scale, size[2] * scale)
        starts = crop_starts(centres, wide)
        if border == "shift":
            starts = np.clip(starts, 0, np.maximum(np.asarray(hu.shape) - wide, 0))
        for row, start in zip(out, starts, strict=True):
            cut = _cut(hu, start, wide)
            row[k] = cut if scale == 1 else _mean(cut, scale)
    return out


def _cut(hu: npt.NDArray[np.int16], start: npt.NDArray[np.int64], size: Shape) -> npt.NDArray[np.int16]:
    if (start >= 0).all() and (start + size <= hu.shape).all():
        return hu[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]
    index = (np.clip(np.arange(a, a + n), 0, limit - 1) for a, n, limit in zip(start, size, hu.shape, strict=True))
    return np.asarray(hu[np.ix_(*index)])


def _mean(cut: npt.NDArray[np.int16], scale: int) -> npt.NDArray[np.int32]:
    """Means of cubes of scale**3 voxels, rounded down."""
    i, r, c = (n // scale for n in cut.shape)
    total = cut.reshape(i, scale, r, scale, c, scale).sum(axis=(1, 3, 5), dtype=np.int32)
    return np.asarray(total // scale**3)
