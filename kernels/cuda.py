"""The CUDA sources of this folder: compiled by CuPy for the GPU at hand when first used, or to a cubin for any GPU."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lungscan.errors import EngineUnavailable

STANDARD = "c++17"

BLOCK_THREADS = 256

MOST_BLOCKS = 2112
"""16 for each of an H100's 132 multiprocessors, which hold 8 at a time; every loop of a kernel strides over the rest."""

NULL = np.uintp(0)
"""A null pointer as a kernel's argument. CuPy turns None into another address."""


def source(name: str) -> str:
    """The text of kernels/<name>.cu. It includes no header, so that NVRTC needs none."""
    return Path(__file__).with_name(f"{name}.cu").read_text(encoding="utf-8")


class Kernels:
    """The kernels of one source, on the current device and CuPy's current stream."""

    def __init__(self, name: str) -> None:
        self._module = import_module("cupy").RawModule(code=source(name), options=(f"--std={STANDARD}",))

    def __call__(self, kernel: str, items: int, *arguments: Any) -> None:
        """Launch a kernel whose loops stride over about so many items. Scalars are NumPy's, of the parameter's very type."""
        blocks = min(-(-items // BLOCK_THREADS), MOST_BLOCKS)
        self._module.get_function(kernel)((max(blocks, 1),), (BLOCK_THREADS,), arguments)


@cache
def kernels(name: str) -> Kernels:
    """The kernels of kernels/<name>.cu, compiled once a process."""
    return Kernels(name)


def compile_cubin(text: str, sm: int) -> bytes:
    """Machine code for compute capability `sm` (80, 90, 120, ...) by NVRTC; needs no GPU.

    Raises EngineUnavailable without cuda-core and NVRTC.
    """
    try:
        core = import_module("cuda.core")
        program = core.Program(text, "c++", core.ProgramOptions(arch=f"sm_{sm}", std=STANDARD))
    except (ImportError, RuntimeError) as missing:
        raise EngineUnavailable(
            "CUDA sources cannot be compiled here: install the compiler with pip install cuda-core nvidia-cuda-nvrtc"
        ) from missing
    return bytes(program.compile("cubin").code)
