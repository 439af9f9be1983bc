"""The first level of the U-Net: two 3x3 convolutions with ReLU and norm, and the 2x2 mean that the next level starts from.

This level holds a few thousandths of the weights and most of the bytes: each pixel has few channels and little work, so a
GPU waits for memory. In fp16 with S slices a pixel and C channels, bytes read and written a pixel:

1. Layer by layer, each reading and writing once (norm and ReLU counted as free):
   stack 2 S, conv1 2 S + 2 C, conv2 4 C, pool 2 C + C / 2            = 4 S + 8.5 C   (book, S 7, C 16: 164)
2. Two kernels, `_conv_in` and `_conv_pool`. The first reads the stacks as a view on the slab (`lungscan.kernels.stack`), so
   a slice comes from memory once, 2 bytes; input norm, window edges, bias, ReLU and norm are done in registers. The second
   means squares of 2 x 2 pixels before they leave them:
   conv1 2 + 2 C, conv2 2 C + 2 C + C / 2                             = 2 + 6.5 C      (106: 58 bytes, or 35 %, saved)
3. All in one kernel would save 4 C more (64), the floor being 2 + 2.5 C, but each tile would redo conv1 for the pixels
   around it, and Triton has no way to look at a neighbour's registers but through shared memory. Not tried.

For 300 slices of 512 x 512 the second saves 4.6 GB, 1.5 ms at the 3.0 TB/s that an H100 copies with: computed, not
measured. Both convolutions are matrix products on tensor cores, fp16 in and float32 sums; the sides of a tile are pixels
and output channels, and the inner side is 9 neighbours x channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, tensor
from numpy.lib.stride_tricks import sliding_window_view

from lungscan.networks.graph import NORM_EPSILON

if TYPE_CHECKING:
    import triton.language as tl

Floats = npt.NDArray[Any]  # float32 or float16
F32 = npt.NDArray[np.float32]

PIXELS_IN = 64
PIXELS_POOL = 128
TERMS = 64
"""Of a sum over neighbours and channels, how many a tile takes: all of the book's; of a folded stem's half as many, whose
addresses would fill the registers."""


@dataclass(frozen=True)
class FirstLevel:
    """The tensors of the input norm and of block `down.0` of `lungscan.networks.unet`; a norm is x -> x scale + shift.

    fold         : side of the squares of pixels that the stem folds into channels, 1 or 2
    input_norm   : (2, S) scale and shift of each slice of a stack, for HU
    conv1, conv2 : (C, channels, 3, 3), with biases (C,); channels of conv1 in torch's order, slice, row and column of the
                   square
    norm1, norm2 : (2, C)
    """

    fold: int
    input_norm: F32
    conv1: F32
    bias1: F32
    norm1: F32
    conv2: F32
    bias2: F32
    norm2: F32

    @classmethod
    def of(cls, tensors: Mapping[str, F32], fold: int) -> FirstLevel:
        """From a segmentation network's tensors, named as in `lungscan.networks.unet`."""

        def norm(name: str) -> F32:
            weight, bias, mean, var = (
                tensors[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = weight / np.sqrt(var + NORM_EPSILON)
            return np.stack([scale, bias - mean * scale]).astype(np.float32)

        return cls(
            fold,
            norm("input_norm"),
            tensors["down.0.conv1.weight"],
            tensors["down.0.conv1.bias"],
            norm("down.0.norm1"),
            tensors["down.0.conv2.weight"],
            tensors["down.0.conv2.bias"],
            norm("down.0.norm2"),
        )

    @property
    def channels(self) -> int:
        return len(self.conv1)

    @cached_property
    def on_gpu(self) -> tuple[Any, ...]:
        """What the kernels read, laid out for them and uploaded once: a sum runs over neighbours, then channels; channels
        are filled up with zeros to what a tensor core takes."""
        wide = max(16, 1 << (self.channels - 1).bit_length())

        def matrix(weight: F32, inner: int) -> Any:
            flat = weight.transpose(2, 3, 1, 0)  # (row, column, channel, C)
            flat = np.pad(flat, ((0, 0), (0, 0), (0, inner - flat.shape[2]), (0, wide - self.channels)))
            flat = flat.reshape(-1, wide)
            return np.pad(flat, ((0, -len(flat) % TERMS), (0, 0))).astype(np.float16)

        def edges(bias: F32, norm: F32) -> Any:
            return np.pad(np.stack([bias, *norm]), ((0, 0), (0, wide - self.channels)))

        return tuple(
            tensor(cupy().asarray(part))
            for part in (
                self.input_norm,
                matrix(self.conv1, self.conv1.shape[1]),
                edges(self.bias1, self.norm1),
                matrix(self.conv2, wide),
                edges(self.bias2, self.norm2),
            )
        )


def first_level(stacks: Floats, level: FirstLevel) -> tuple[Floats, Floats]:
    """(n, C, H, W) the block's result, which the way up takes again, and (n, C, H/2, W/2) its means over 2 x 2.

    stacks : (n, S, rows, columns) HU, of any strides, float32 or float16; H and W are rows and columns over `level.fold`,
             both even

    float32 for a NumPy array. For a CuPy array float16, channels last in memory, within fp16's rounding of that.
    """
    if on_gpu(stacks):
        return _on_gpu(stacks, level)
    x = stacks * level.input_norm[0][:, None, None] + level.input_norm[1][:, None, None]
    n, s, rows, columns = x.shape
    f = level.fold
    x = x.reshape(n, s, rows // f, f, columns // f, f).transpose(0, 1, 3, 5, 2, 4).reshape(n, s * f * f, rows // f, -1)
    x = _block(x, level.conv1, level.bias1, level.norm1)
    skip = _block(x, level.conv2, level.bias2, level.norm2)
    return skip, skip.reshape(n, level.channels, rows // f // 2, 2, -1, 2).mean(axis=(3, 5))


def _block(x: F32, weight: F32, bias: F32, norm: F32) -> F32:
    around = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    y = np.moveaxis(np.tensordot(around, weight, axes=([1, 4, 5], [1, 2, 3])), -1, 1) + bias[:, None, None]
    return np.asarray(np.maximum(y, 0) * norm[0][:, None, None] + norm[1][:, None, None], np.float32)


def _on_gpu(stacks: Any, level: FirstLevel) -> tuple[Any, Any]:
    input_norm, conv1, edges1, conv2, edges2 = level.on_gpu
    n, slices, rows, columns = stacks.shape
    height, width, channels, wide = rows // level.fold, columns // level.fold, level.channels, conv1.shape[1]
    between, skip = (cupy().empty((n, height, width, channels), np.float16) for _ in range(2))
    pooled = cupy().empty((n, height // 2, width // 2, channels), np.float16)
    _conv_in[(n * height, blocks(width, PIXELS_IN))](
        tensor(stacks),
        input_norm,
        conv1,
        edges1,
        tensor(between),
        height,
        width,
        *(step // stacks.itemsize for step in stacks.strides),
        slices,
        level.fold,
        channels,
        wide,
        PIXELS_IN,
        TERMS // level.fold,
    )
    _conv_pool[(n * (height // 2), blocks(width, PIXELS_POOL // 2))](
        tensor(between), conv2, edges2, tensor(skip), tensor(pooled), height, width, channels, wide, PIXELS_POOL
    )
    return skip.transpose(0, 3, 1, 2), pooled.transpose(0, 3, 1, 2)


@kernel()
def _conv_in(
    stacks: tl.tensor,  # (n, SLICES, H FOLD, W FOLD)
    norm: tl.tensor,  # (2, SLICES)
    weight: tl.tensor,  # (9 SLICES FOLD FOLD and zeros, WIDE)
    edges: tl.tensor,  # (3, WIDE): bias, scale, shift
    out: tl.tensor,  # (n, H, W, CHANNELS)
    height: tl.tensor,
    width: tl.tensor,
    pitch_stack: tl.tensor,
    pitch_slice: tl.tensor,
    pitch_row: tl.tensor,
    pitch_column: tl.tensor,
    SLICES: tl.constexpr,
    FOLD: tl.constexpr,
    CHANNELS: tl.constexpr,
    WIDE: tl.constexpr,
    PIXELS: tl.constexpr,
    TERMS: tl.constexpr,
) -> None:
    """One program: PIXELS neighbours of one row, all output channels."""
    n, r = tl.program_id(0) // height, tl.program_id(0) % height
    c = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, WIDE)
    total = tl.zeros([PIXELS, WIDE], tl.float32)
    for start in range(0, 9 * SLICES * FOLD * FOLD, TERMS):
        term = start + tl.arange(0, TERMS)  # neighbour row, neighbour column, slice, row and column of the folded square
        near = term // (SLICES * FOLD * FOLD)
        plane = term // (FOLD * FOLD) % SLICES
        row = r + near // 3 - 1
        column = c[:, None] + (near % 3 - 1)[None, :]
        shown = (near < 9) & (row >= 0) & (row < height)
        shown = shown[None, :] & (column >= 0) & (column < width)
        place = plane.to(tl.int64) * pitch_slice + (row * FOLD + term // FOLD % FOLD).to(tl.int64) * pitch_row
        place = place[None, :] + (column * FOLD + (term % FOLD)[None, :]) * pitch_column
        hu = tl.load(stacks + n.to(tl.int64) * pitch_stack + place, mask=shown, other=0.0).to(tl.float32)
        x = hu * tl.load(norm + plane)[None, :] + tl.load(norm + SLICES + plane)[None, :]
        x = tl.where(shown, x, 0.0).to(tl.float16)  # the network pads what the norm has scaled
        total = tl.dot(x, tl.load(weight + term[:, None] * WIDE + channel[None, :]), total)
    total = tl.maximum(total + tl.load(edges + channel)[None, :], 0.0)
    total = total * tl.load(edges + WIDE + channel)[None, :] + tl.load(edges + 2 * WIDE + channel)[None, :]
    place = (tl.program_id(0).to(tl.int64) * width + c)[:, None] * CHANNELS + channel[None, :]
    tl.store(out + place, total.to(tl.float16), mask=(c < width)[:, None] & (channel < CHANNELS)[None, :])


@kernel()
def _conv_pool(
    x: tl.tensor,  # (n, H, W, CHANNELS)
    weight: tl.tensor,  # (9 WIDE, WIDE)
    edges: tl.tensor,  # (3, WIDE): bias, scale, shift
    out: tl.tensor,  # (n, H, W, CHANNELS)
    pooled: tl.tensor,  # (n, H/2, W/2, CHANNELS)
    height: tl.tensor,
    width: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDE: tl.constexpr,
    PIXELS: tl.constexpr,
) -> None:
    """One program: PIXELS / 4 neighbouring squares of 2 x 2 pixels of two rows, a square's pixels side by side."""
    half = height // 2
    n, pair = tl.program_id(0) // half, tl.program_id(0) % half
    pixel = tl.arange(0, PIXELS)
    r = pair * 2 + pixel % 4 // 2
    c = tl.program_id(1) * (PIXELS // 2) + pixel // 4 * 2 + pixel % 2
    channel = tl.arange(0, WIDE)
    image = n.to(tl.int64) * height
    total = tl.zeros([PIXELS, WIDE], tl.float32)
    for near in range(9):
        row, column = r + near // 3 - 1, c + near % 3 - 1
        shown = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = ((image + row) * width + column)[:, None] * CHANNELS + channel[None, :]
        part = tl.load(x + place, mask=shown[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        inner = near * WIDE + channel
        total = tl.dot(part, tl.load(weight + inner[:, None] * WIDE + channel[None, :]), total)
    total = tl.maximum(total + tl.load(edges + channel)[None, :], 0.0)
    total = total * tl.load(edges + WIDE + channel)[None, :] + tl.load(edges + 2 * WIDE + channel)[None, :]
    place = ((image + r) * width + c)[:, None] * CHANNELS + channel[None, :]
    tl.store(out + place, total.to(tl.float16), mask=(c < width)[:, None] & (channel < CHANNELS)[None, :])
    mean = tl.sum(tl.reshape(total, [PIXELS // 4, 4, WIDE]), axis=1) / 4
    c = tl.program_id(1) * (PIXELS // 4) + tl.arange(0, PIXELS // 4)
    place = (tl.program_id(0).to(tl.int64) * (width // 2) + c)[:, None] * CHANNELS + channel[None, :]
    tl.store(pooled + place, mean.to(tl.float16), mask=(c < width // 2)[:, None] & (channel < CHANNELS)[None, :])
