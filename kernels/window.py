"""HU as the networks take them: clipped to the window that they learned with, in single precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def windowed(hu: npt.NDArray[np.int16], window_hu: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Clipped float32 copy of int16 HU of any shape and strides, contiguous."""
    out = np.empty(hu.shape, np.float32)
    np.clip(hu, *window_hu, out=out, casting="unsafe")
    return out
