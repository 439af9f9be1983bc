"""Triton's interpreter, and a CuPy that is NumPy: GPU code on a CPU, in a process of its own.

Triton decides when it is imported whether it compiles or interprets, so what is interpreted must not share a process with
what is compiled. Arrays lie between guards, and fresh ones are full of NaN, or of 0xAAAA where whole numbers are asked for:
a kernel that reads what nobody wrote gives nonsense, one that writes past an end is caught.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

GUARD = 64
_made: list[tuple[np.ndarray, int]] = []


class GpuArray(np.ndarray):
    """What `cupy.ndarray` is in this process."""


def empty(shape: Any, dtype: Any) -> GpuArray:
    size = int(np.prod(shape, dtype=int))
    memory = np.empty(size + 2 * GUARD, dtype)
    _poison(memory)
    _made.append((memory, size))
    return memory[GUARD : GUARD + size].reshape(shape).view(GpuArray)


def asarray(array: np.ndarray) -> GpuArray:
    out = empty(array.shape, array.dtype)
    out[...] = array
    return out


def start() -> None:
    """Make of this process one that interprets."""
    os.environ["TRITON_INTERPRET"] = "1"
    module: Any = type(sys)("cupy")
    module.ndarray, module.empty, module.asarray = GpuArray, empty, asarray
    module.ascontiguousarray = np.ascontiguousarray
    module.from_dlpack = lambda x: np.from_dlpack(x).view(GpuArray)
    sys.modules["cupy"] = module


def call(function: Any, arguments: tuple[Any, ...], part: tuple[slice, ...]) -> Any:
    """What a function makes of its arguments on this process's GPU; of the first argument it is given a part."""
    _made.clear()
    first, *rest = (asarray(a) if isinstance(a, np.ndarray) else a for a in arguments)
    result = function(first[part], *rest)
    for memory, size in _made:
        poison = np.empty(GUARD, memory.dtype)
        _poison(poison)
        for guard in (memory[:GUARD], memory[GUARD + size :]):
            np.testing.assert_array_equal(guard, poison, err_msg="written past the end of an array")
    return tuple(map(_host, result)) if isinstance(result, tuple) else _host(result)


def _poison(memory: np.ndarray) -> None:
    memory.view(np.uint8)[...] = 0xAA
    if memory.dtype.kind == "f":
        memory[...] = np.nan


def _host(array: Any) -> np.ndarray:
    assert isinstance(array, GpuArray)
    return np.asarray(array)
