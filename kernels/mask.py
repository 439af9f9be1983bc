"""Probabilities → the mask of the voxels over a level, one bit a voxel.

Word k holds voxels 32 k to 32 k + 31 in raster order, the first in its lowest bit; bits past the last voxel are 0.
Components are then looked for in a mask that is 32 times smaller than the heatmap and stays in the cache.

Byte floor a voxel: 4 read (fp16: 2) and 1/8 written; from logits the probability is written too, 4 or 2.

1. `p > level` as bytes, then packing: 4 + 1, then 1 + 1/8. From logits the sigmoid alone is another pass of 4 + 4.
2. One pass: a program reads rows of 32 voxels, and the sum of a row's bits, each in its place, is its word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, tensor
from scipy.special import expit

if TYPE_CHECKING:
    import triton.language as tl

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[Any]  # float32 or float16

BLOCK_WORDS = 32


def mask(probability: Floats, level: float) -> Words:
    """(ceil(voxels / 32),) uint32: the voxels whose probability is over `level`, itself rounded to float32.

    probability : float32 or float16 of any shape, contiguous
    """
    if on_gpu(probability):
        words = cupy().empty(blocks(probability.size, 32), np.uint32)
        if words.size:
            flat = tensor(probability.reshape(-1))
            _mask[(blocks(words.size, BLOCK_WORDS),)](flat, _signed(words), flat.numel(), level, BLOCK_WORDS)
        return words  # type: ignore[no-any-return]
    packed = np.packbits(probability.ravel() > np.float32(level), bitorder="little")
    return np.pad(packed, (0, -len(packed) % 4)).view("<u4")


def mask_of_logits(logits: Floats, level: float, dtype: npt.DTypeLike = np.float32) -> tuple[Words, Floats]:
    """The same from logits, float32 or float16, and the probability, of their shape and of `dtype`.

    The mask is that of the probability as it is returned, so whoever compares it again finds the same voxels.
    """
    if on_gpu(logits):
        words, probability = cupy().empty(blocks(logits.size, 32), np.uint32), cupy().empty(logits.shape, dtype)
        if words.size:
            flat = tensor(logits.reshape(-1))
            _mask_of_logits[(blocks(words.size, BLOCK_WORDS),)](
                flat, tensor(probability.reshape(-1)), _signed(words), flat.numel(), level, BLOCK_WORDS
            )
        return words, probability
    probability = expit(logits.astype(np.float32, copy=False)).astype(dtype, copy=False)
    return mask(probability, level), probability


def _signed(words: Any) -> Any:
    """The words as int32, which every version of DLPack and torch can carry; the bits are the same."""
    return tensor(words.view(np.int32))


@kernel("n")
def _mask(probability: tl.tensor, words: tl.tensor, n: tl.tensor, level: tl.tensor, BLOCK: tl.constexpr) -> None:
    word = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    bit = tl.arange(0, 32)[None, :]
    voxel = word[:, None] * 32 + bit
    p = tl.load(probability + voxel, mask=voxel < n, other=0.0).to(tl.float32)
    over = (p > level) & (voxel < n)
    tl.store(words + word, tl.sum(over.to(tl.int32) << bit, axis=1), mask=word * 32 < n)


@kernel("n")
def _mask_of_logits(
    logits: tl.tensor,
    probability: tl.tensor,
    words: tl.tensor,
    n: tl.tensor,
    level: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    word = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    bit = tl.arange(0, 32)[None, :]
    voxel = word[:, None] * 32 + bit
    logit = tl.load(logits + voxel, mask=voxel < n, other=0.0).to(tl.float32)
    p = (1 / (1 + tl.exp(-logit))).to(probability.dtype.element_ty)
    tl.store(probability + voxel, p, mask=voxel < n)
    over = (p.to(tl.float32) > level) & (voxel < n)
    tl.store(words + word, tl.sum(over.to(tl.int32) << bit, axis=1), mask=word * 32 < n)
