"""Resampling of int16 HU to another spacing along the same axes.

Each output voxel is a mean under a triangle. Where the grid gets finer the triangle spans two input voxels, which is linear
interpolation; where it gets coarser it widens with the output spacing, so that every input voxel counts and noise averages
out instead of being picked from. A mean never leaves the range of its voxels, so the result needs no clip.

Byte floor: 2 read an input voxel, 2 written an output voxel.

1. Axis after axis over the volume: with two float copies in between, 16 bytes a voxel more.
2. The same, one output slice at a time: rows and columns are one sparse product each, slices a weighted sum of the few
   planes that are at hand. No float copy of the volume is ever held: the CPU's way, whose planes stay in its cache.
3. On a GPU, all three axes at once in registers. The 8 voxels (finer) or 8 new / old (coarser, an axis) that an output
   voxel looks at lie in the cache, where neighbours look at them too; memory sees the floor. The weights are the CPU's
   own, a short row for each output index.

The GPU adds in another order, so where a mean lies within rounding of a half, results may differ by 1 HU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, strided, tensor
from scipy.sparse import csr_matrix

from lungscan.volume import Triple

if TYPE_CHECKING:
    import triton.language as tl

TIE = 1e-6
"""Of a voxel: what rounding may cost at the last one."""

BLOCK = 256
TO_WHOLE = 1.5 * 2.0**23
"""Added to a float32 and taken off again, it leaves the nearest whole number, halves to even."""


def resample(hu: npt.NDArray[np.int16], spacing_irc_mm: Triple, new_spacing_irc_mm: Triple) -> npt.NDArray[np.int16]:
    """HU on a grid of the new spacing whose first voxel centre is that of `hu` and whose last does not pass its last.

    hu : (I,R,C) int16, a NumPy or a CuPy array; the result is of the same kind
    """
    slices, rows, columns = (
        _weights(n, old, new) for n, old, new in zip(hu.shape, spacing_irc_mm, new_spacing_irc_mm, strict=True)
    )
    if on_gpu(hu):
        return _on_gpu(hu, slices, rows, columns)  # type: ignore[no-any-return]
    down, across = csr_matrix(rows), csr_matrix(columns)
    out = np.empty([len(w) for w in (slices, rows, columns)], dtype=np.int16)
    in_plane: dict[int, npt.NDArray[np.float32]] = {}
    for k, weights in enumerate(slices):
        (used,) = np.nonzero(weights)
        for done in [i for i in in_plane if i < used[0]]:
            del in_plane[done]
        for i in used.tolist():
            if i not in in_plane:
                in_plane[i] = (across @ (down @ hu[i].astype(np.float32)).T).T
        out[k] = np.rint(sum(in_plane[i] * weights[i] for i in used.tolist()))
    return out


def _weights(n: int, old: float, new: float) -> npt.NDArray[np.float32]:
    """(outputs, n): the share of each of n input voxels in each output voxel along one axis."""
    at = np.arange(int(np.floor((n - 1) * old / new + TIE)) + 1) * (new / old)
    share = np.maximum(1 - np.abs(np.arange(n) - at[:, None]) / max(1.0, new / old), 0)
    share[share < TIE] = 0
    return np.asarray(share / share.sum(axis=1, keepdims=True), dtype=np.float32)


def _on_gpu(hu: Any, *weights: npt.NDArray[np.float32]) -> Any:
    out = cupy().empty([len(w) for w in weights], np.int16)
    axes = [_taps(w) for w in weights]
    memory, at, pitch = strided(hu)
    _resample[(out.shape[0], out.shape[1], blocks(out.shape[2], BLOCK))](
        memory,
        tensor(out),
        *(tensor(cupy().asarray(table)) for axis in axes for table in axis),
        at,
        *pitch,
        *hu.shape,
        out.shape[2],
        *(share.shape[0] for _, share in axes),
        TO_WHOLE,
        BLOCK,
    )
    return out


def _taps(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Along one axis, the first input voxel of each output voxel, and (taps, outputs) the shares from there on."""
    first = (weights > 0).argmax(axis=1)
    taps = int(np.count_nonzero(weights, axis=1).max())
    index = first + np.arange(taps)[:, None]
    share = np.pad(weights, ((0, 0), (0, taps)))[np.arange(len(weights)), index]
    return first.astype(np.int32), np.ascontiguousarray(share)


@kernel("at", "slices", "rows", "columns", "width", "taps_i", "taps_r", "taps_c")
def _resample(
    hu: tl.tensor,  # int16, its first element at `at`
    out: tl.tensor,
    first_i: tl.tensor,  # of each axis, `_taps`
    share_i: tl.tensor,
    first_r: tl.tensor,
    share_r: tl.tensor,
    first_c: tl.tensor,
    share_c: tl.tensor,
    at: tl.tensor,
    pitch_slice: tl.tensor,
    pitch_row: tl.tensor,
    pitch_column: tl.tensor,
    slices: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    width: tl.tensor,  # columns of `out`
    taps_i: tl.tensor,
    taps_r: tl.tensor,
    taps_c: tl.tensor,
    TO_WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    i, r = tl.program_id(0), tl.program_id(1)
    height, depth = tl.num_programs(1), tl.num_programs(0)
    c = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = c < width
    from_i, from_r = tl.load(first_i + i), tl.load(first_r + r)
    from_c = tl.load(first_c + c, mask=inside, other=0)
    total = tl.zeros([BLOCK], tl.float32)
    for z in range(taps_c):
        column = tl.minimum(from_c + z, columns - 1)
        under = tl.zeros([BLOCK], tl.float32)  # the triangle in this column
        for x in range(taps_i):
            plane = at + tl.minimum(from_i + x, slices - 1).to(tl.int64) * pitch_slice
            of_slice = tl.load(share_i + x * depth + i)
            for y in range(taps_r):
                row = plane + tl.minimum(from_r + y, rows - 1).to(tl.int64) * pitch_row
                share = of_slice * tl.load(share_r + y * height + r)
                under += share * tl.load(hu + row + column * pitch_column, mask=inside, other=0).to(tl.float32)
        total += under * tl.load(share_c + z * width + c, mask=inside, other=0.0)
    place = (i.to(tl.int64) * height + r) * width + c
    tl.store(out + place, (total + TO_WHOLE - TO_WHOLE).to(tl.int16), mask=inside)
