"""What the Triton kernels share: when Triton is loaded, and how CuPy's memory reaches it.

Triton wants a kernel to be decorated when its file is imported, and importing Triton takes most of a second that a scan on a
CPU should not pay. `kernel` only keeps the function; it is given to Triton at its first launch. Arrays cross from CuPy to
torch, whose tensors Triton takes, by DLPack: no copy, and no wait where both are on one stream.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any

from lungscan.errors import EngineUnavailable


class Kernel:
    """A function in Triton's language; `kernel[grid](...)` launches it, as Triton's own do.

    Where the function says `tl`, it means `triton.language`. `varying` names integers whose value is no reason to compile
    the kernel anew; of the others Triton asks whether they are 1 or multiples of 16.
    """

    def __init__(self, body: Callable[..., None], varying: tuple[str, ...]) -> None:
        self.body = body
        self.varying = varying

    @cached_property
    def compiled(self) -> Any:
        """The function as Triton holds it. Raises EngineUnavailable without Triton."""
        os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # a * b + c rounds once; Triton 3.10 turns the default round
        try:
            triton = import_module("triton")
        except ImportError as error:
            raise EngineUnavailable(
                "arrays on a GPU need Triton, which is not installed: pip install 'lungscan-ct[gpu]'."
            ) from error
        self.body.__globals__["tl"] = import_module("triton.language")
        return triton.jit(self.body, do_not_specialize=self.varying)

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self.compiled[grid]


def kernel(*varying: str) -> Callable[[Callable[..., None]], Kernel]:
    """Decorator: the function below is a `Kernel`."""
    return lambda body: Kernel(body, varying)


def on_gpu(array: object) -> bool:
    """Whether an array is CuPy's; where there is one, CuPy has been imported."""
    return isinstance(array, getattr(sys.modules.get("cupy"), "ndarray", ()))


def cupy() -> Any:
    """The module that the arrays on a GPU come from."""
    return import_module("cupy")


def tensor(array: Any) -> Any:
    """A CuPy array as a torch tensor over the same memory. No stride may be negative, which torch does not know."""
    return import_module("torch").from_dlpack(array)


def strided(array: Any) -> tuple[Any, int, tuple[int, ...]]:
    """A CuPy array of any strides as the tensor that holds its memory, the place of its first element there, and its
    strides, both counted in elements. Flipped axes cost no copy."""
    steps = tuple(step // array.itemsize for step in array.strides)
    forward = array[tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)]
    first = sum(-step * (n - 1) for step, n in zip(steps, array.shape, strict=True) if step < 0)
    return tensor(forward), first, steps


def blocks(n: int, size: int) -> int:
    """How many blocks of a size hold n."""
    return -(-n // size)
