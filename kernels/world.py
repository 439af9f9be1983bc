"""Where an array lives: NumPy arrays on the host, CuPy arrays on a GPU. The array says where the work on it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt


def world(array: Any) -> Any:
    """The array module that an array belongs to: `numpy` or `cupy`."""
    return np if isinstance(array, np.ndarray) else import_module("cupy")


def on_host(array: Any) -> npt.NDArray[Any]:
    """The array as NumPy holds it. From a GPU this is a copy, and waits for all that the array depends on."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.get())


def input_type(array: Any, precision: str) -> npt.DTypeLike:
    """How voxels of an array reach a network: float32 on the host, on a GPU float16, which is half the bytes and holds HU
    up to 2048 exactly, unless all is to be done in float32."""
    return np.float32 if isinstance(array, np.ndarray) or precision == "fp32" else np.float16
