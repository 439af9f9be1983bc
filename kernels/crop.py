"""Fixed-size crops around many centres, each at several scales.

Byte floor: 2 written a voxel of a crop, and 2 read for each voxel of the volume that some crop shows.

1. A slice of the volume a candidate, a launch each (and a wait, for the centres must be on the host): 2 + 2, but 50 us a
   candidate before the first byte moves. On a CPU a slice costs nothing, so there it stays.
2. One launch for all: the grid is candidates x scales x blocks of the crop, and the border is a clamp of each index. The
   centres stay on the GPU: nothing waits for them, and a table of fixed capacity makes a graph of fixed shape. Threads
   walk columns, so scale 1 reads whole rows; a wider scale adds up its cubes in registers instead of writing them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, strided, tensor

from lungscan.volume import Shape

if TYPE_CHECKING:
    import triton.language as tl

BLOCK = 1024
TO_WHOLE = 1.5 * 2.0**52
"""Added to a float64 and taken off again, it leaves the nearest whole number, halves to even."""


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

    Where `hu` is a CuPy array so are `centres` and the crops. Rows of a table of fixed capacity that hold no candidate give
    some crop, as long as they are finite. There may then be up to 7 scales, each up to 31.
    """
    if on_gpu(hu):
        return _on_gpu(hu, centres, size, scales, border)  # type: ignore[no-any-return]
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


def _on_gpu(hu: Any, centres: Any, size: Shape, scales: Sequence[int], border: str) -> Any:
    out = cupy().empty((len(centres), len(scales), *size), np.int16)
    if out.size:
        memory, at, pitch = strided(hu)
        wanted = sum(scale << 8 * k for k, scale in enumerate(scales))
        _crops[(len(centres), len(scales), blocks(size[0] * size[1] * size[2], BLOCK))](
            memory,
            tensor(cupy().ascontiguousarray(centres)),
            tensor(out),
            at,
            *pitch,
            *hu.shape,
            wanted,
            border == "shift",
            *size,
            TO_WHOLE,
            BLOCK,
        )
    return out


@kernel("at", "slices", "rows", "columns", "scales")
def _crops(
    hu: tl.tensor,  # int16, its first element at `at`
    centres: tl.tensor,  # (n, 3)
    out: tl.tensor,  # (n, scales, I, R, C)
    at: tl.tensor,
    pitch_slice: tl.tensor,
    pitch_row: tl.tensor,
    pitch_column: tl.tensor,
    slices: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    scales: tl.tensor,  # a byte each: nothing to upload
    SHIFT: tl.constexpr,
    I: tl.constexpr,  # noqa: E741
    R: tl.constexpr,
    C: tl.constexpr,
    TO_WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    n, k = tl.program_id(0), tl.program_id(1)
    scale = ((scales >> (8 * k)) & 255).to(tl.int32)
    axis = tl.arange(0, 4)
    centre = tl.load(centres + 3 * n + axis, mask=axis < 3, other=0.0).to(tl.float64)
    size = tl.where(axis == 0, I, tl.where(axis == 1, R, C)) * scale
    start = (centre + TO_WHOLE - TO_WHOLE) - size.to(tl.float64) / 2
    first = (start + TO_WHOLE - TO_WHOLE).to(tl.int32)
    if SHIFT:
        limit = tl.where(axis == 0, slices, tl.where(axis == 1, rows, columns))
        first = tl.maximum(tl.minimum(first, limit - size), 0)
    voxel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    i = tl.sum(tl.where(axis == 0, first, 0)) + voxel // (R * C) * scale
    r = tl.sum(tl.where(axis == 1, first, 0)) + voxel // C % R * scale
    c = tl.sum(tl.where(axis == 2, first, 0)) + voxel % C * scale
    inside = voxel < I * R * C
    total = tl.zeros([BLOCK], tl.int32)
    for d in range(scale * scale * scale):
        plane = tl.minimum(tl.maximum(i + d // (scale * scale), 0), slices - 1).to(tl.int64)
        row = tl.minimum(tl.maximum(r + d // scale % scale, 0), rows - 1).to(tl.int64)
        column = tl.minimum(tl.maximum(c + d % scale, 0), columns - 1)
        place = at + plane * pitch_slice + row * pitch_row + column * pitch_column
        total += tl.load(hu + place, mask=inside, other=0).to(tl.int32) + 32768
    # With 32768 added to each voxel no sum is negative, and dividing whole numbers rounds down.
    mean = total // (scale * scale * scale) - 32768
    crop = n.to(tl.int64) * tl.num_programs(1) + k
    tl.store(out + crop * (I * R * C) + voxel, mean.to(tl.int16), mask=inside)
