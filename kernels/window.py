"""HU as the networks take them: clipped to the window that they learned with, as floats.

Byte floor: 2 read and 4 written a voxel (fp16: 2 and 2).

1. `hu.clip(low, high).astype(float)`, two passes: 2 + 2 + 2 + 4 bytes.
2. One pass that clips in registers: the floor. NumPy does it with `out=`; on a GPU it is the smallest kernel of this
   package, and the one to start reading at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels.triton_support import blocks, cupy, kernel, on_gpu, tensor

if TYPE_CHECKING:
    import triton.language as tl

BLOCK = 1024


def windowed(hu: npt.NDArray[np.int16], window_hu: tuple[int, int], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Clipped copy of int16 HU of any shape and strides, contiguous, where the HU are.

    dtype : float32, or float16, which holds whole numbers exactly up to 2048
    """
    if on_gpu(hu):
        return _on_gpu(hu, window_hu, dtype)  # type: ignore[no-any-return]
    out = np.empty(hu.shape, dtype)
    np.clip(hu, *window_hu, out=out, casting="unsafe")
    return out


def _on_gpu(hu: Any, window_hu: tuple[int, int], dtype: npt.DTypeLike) -> Any:
    out = cupy().empty(hu.shape, dtype)
    if out.size:
        flat = tensor(cupy().ascontiguousarray(hu).reshape(-1))
        _windowed[(blocks(out.size, BLOCK),)](flat, tensor(out.reshape(-1)), out.size, *window_hu, BLOCK)
    return out


@kernel("n", "low", "high")
def _windowed(hu: tl.tensor, out: tl.tensor, n: tl.tensor, low: tl.tensor, high: tl.tensor, BLOCK: tl.constexpr) -> None:
    voxel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(hu + voxel, mask=voxel < n, other=0)
    value = tl.minimum(tl.maximum(value, low), high)
    tl.store(out + voxel, value.to(out.dtype.element_ty), mask=voxel < n)
