"""The U-Net's input: every slice between its neighbours, clipped to the window that the network learned with.

A stack of S slices shows each voxel S times. Byte floor in fp16: 2 read a voxel, and 2 S written where the stacks stand in
memory (16 for the book's 7 slices), or 2 where they are a view.

1. Clip a copy, then copy S shifted slices into each stack: 2 + 2, then S times 2 + 2, the writes 2 S bytes apart.
2. A view. Overlapping windows onto one clipped slab cost nothing: `windows`. It is how a CPU does it, and what a first
   convolution that takes any strides should be given (`first_level`).
3. Where an engine wants stacks in memory, channels last, as tensor cores read them: `_stacks`, one pass. A program writes
   consecutive values of a row, so a thread's stores are whole 16-byte words; its loads hit S slices, each of which comes
   from memory once and from the cache S - 1 times.

A slab is a stack of one slice, so the same kernel makes both. HU in a window within +-2048 are exact in fp16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, strided, tensor
from numpy.lib.stride_tricks import sliding_window_view

from lungscan.volume import Box

if TYPE_CHECKING:
    import triton.language as tl

Floats = npt.NDArray[Any]  # float32 or float16

BLOCK = 1024


def stacks(
    hu: npt.NDArray[np.int16],
    box: Box,
    window_hu: tuple[int, int],
    context: int,
    cell: int,
    dtype: npt.DTypeLike = np.float32,
) -> Floats:
    """(n, 2 context + 1, H, W): each of the n slices of `box` in the middle of its neighbours, clipped, of `dtype`.

    hu      : (I,R,C) int16 of any strides
    box     : the part of `hu` that is shown, at least a voxel
    context : neighbours to either side; slices beyond either end repeat the end slice
    cell    : H and W are the box's rows and columns filled up to multiples of this with the window's low value
    dtype   : float32, or float16, which holds whole numbers exactly up to 2048

    For a NumPy array the result is a view onto a slab; writing to it is not safe. For a CuPy array it is a copy whose
    channels lie together in memory (torch's channels_last).
    """
    if not on_gpu(hu):
        return windows(slab(hu, box, window_hu, context, cell, dtype), context)
    return _on_gpu(hu, box, window_hu, context, cell, dtype).transpose(0, 3, 1, 2)  # type: ignore[no-any-return]


def slab(
    hu: npt.NDArray[np.int16],
    box: Box,
    window_hu: tuple[int, int],
    context: int,
    cell: int,
    dtype: npt.DTypeLike = np.float32,
) -> Floats:
    """(n + 2 context, H, W): the slices that `stacks` shows, each once. Arguments as there."""
    (first, last), rows, columns = box
    if on_gpu(hu):
        everything = ((first - context, last + context), rows, columns)
        return _on_gpu(hu, everything, window_hu, 0, cell, dtype)[..., 0]  # type: ignore[no-any-return]
    slices = np.clip(np.arange(first - context, last + context), 0, hu.shape[0] - 1)
    (height, tall), (width, wide) = ((b - a, _filled(b - a, cell)) for a, b in (rows, columns))
    out = np.empty((len(slices), tall, wide), dtype)
    out[:, height:] = out[:, :, width:] = window_hu[0]
    for plane, i in zip(out, slices, strict=True):
        np.clip(hu[i, slice(*rows), slice(*columns)], *window_hu, out=plane[:height, :width], casting="unsafe")
    return out


def windows(slab: Floats, context: int) -> Floats:
    """(n, 2 context + 1, H, W) view of a slab: plane k of stack i is slice i + k."""
    channels = 2 * context + 1
    if on_gpu(slab):
        return cupy().from_dlpack(tensor(slab).unfold(0, channels, 1).movedim(-1, 1))  # type: ignore[no-any-return]
    return np.moveaxis(sliding_window_view(slab, channels, axis=0, writeable=True), -1, 1)


def _filled(n: int, cell: int) -> int:
    return blocks(n, cell) * cell


def _on_gpu(
    hu: Any, box: Box, window_hu: tuple[int, int], context: int, cell: int, dtype: npt.DTypeLike
) -> Any:  # (n, H, W, 2 context + 1)
    (first, last), (top, bottom), (left, right) = box
    rows, columns, channels = bottom - top, right - left, 2 * context + 1
    out = cupy().empty((last - first, _filled(rows, cell), _filled(columns, cell), channels), dtype)
    memory, at, pitch = strided(hu[:, top:bottom, left:right])
    row = out.shape[2] * channels
    _stacks[(last - first, out.shape[1], blocks(row, BLOCK))](
        memory, tensor(out), at, *pitch, first - context, hu.shape[0], rows, columns, row, *window_hu, channels, BLOCK
    )
    return out


@kernel("at", "first", "slices", "rows", "columns", "low", "high")
def _stacks(
    hu: tl.tensor,  # int16, its first element at `at`
    out: tl.tensor,  # (n, H, W, CHANNELS)
    at: tl.tensor,
    pitch_slice: tl.tensor,
    pitch_row: tl.tensor,
    pitch_column: tl.tensor,
    first: tl.tensor,  # slice in the first channel of the first stack
    slices: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    row: tl.tensor,  # W * CHANNELS
    low: tl.tensor,
    high: tl.tensor,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    n, r = tl.program_id(0), tl.program_id(1)
    value = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    column, channel = value // CHANNELS, value % CHANNELS
    plane = tl.minimum(tl.maximum(first + n + channel, 0), slices - 1).to(tl.int64)
    place = at + plane * pitch_slice + r.to(tl.int64) * pitch_row + column * pitch_column
    shown = tl.load(hu + place, mask=column < tl.where(r < rows, columns, 0), other=low)
    shown = tl.minimum(tl.maximum(shown, low), high)
    start = (n.to(tl.int64) * tl.num_programs(1) + r) * row
    tl.store(out + start + value, shown.to(out.dtype.element_ty), mask=value < row)
