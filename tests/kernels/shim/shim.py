"""CUDA kernels on the CPU: a .cu is compiled by g++ behind `shim.h` and launched on NumPy arrays, as CuPy launches it.

`ShimModule` stands for `cupy.RawModule`. It is stricter: an argument must have the very type of its parameter, which on a
GPU nobody checks.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")

TYPES: dict[str, tuple[type, ...]] = {
    "float": (np.float32,),
    "double": (np.float64,),
    "int": (np.int32,),
    "short": (np.int16,),
    "char": (np.int8,),
    "long long": (np.int64,),
    "unsigned int": (np.uint32,),
    "unsigned char": (np.uint8, np.bool_),
    "unsigned short": (np.uint16,),
    "unsigned long long": (np.uint64,),
}
"""NumPy's scalar types that a C type may hold."""

_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\(([^)]*)\)')
_TYPEDEF = re.compile(r"typedef\s+([\w ]+?)\s+(\w+)\s*;")


class ShimModule:
    """The kernels of CUDA source text. Takes no header, no shared memory, no barrier and no warp intrinsic.

    extra : further flags for g++; the options that CuPy hands to NVRTC are understood as far as g++ shares them
    """

    def __init__(self, code: str, options: Sequence[str] = (), extra: Sequence[str] = ()) -> None:
        names = dict(reversed(match) for match in _TYPEDEF.findall(code))
        self.kernels = {name: _parameters(text, names) for name, text in _KERNEL.findall(code)}
        self._library = ctypes.CDLL(_build(code, self._launchers(code), (*options, *extra)))

    def get_function(self, name: str) -> Callable[[Sequence[int], Sequence[int], Sequence[Any]], None]:
        """The kernel as a function of grid, block and arguments."""
        parameters, launch = self.kernels[name], self._library[f"launch_{name}"]

        def run(grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
            if len(arguments) != len(parameters):
                raise TypeError(f"{name} takes {len(parameters)} arguments, not {len(arguments)}")
            sizes = [(ctypes.c_uint * 3)(*size, *(1,) * (3 - len(size))) for size in (grid, block)]
            launch(*sizes, *(_pass(name, *pair) for pair in zip(parameters, arguments, strict=True)))

        return run

    def _launchers(self, code: str) -> str:
        lines = []
        for name, text in _KERNEL.findall(code):
            names = ", ".join(part.split()[-1].lstrip("*") for part in text.split(","))
            lines.append(
                f'extern "C" __attribute__((visibility("default"))) void launch_{name}'
                f"(const unsigned* grid_, const unsigned* block_, {text})"
                f" {{ shim_launch(grid_, block_, [=] {{ ::{name}({names}); }}); }}"
            )
        return "\n".join(lines)


def _parameters(text: str, names: dict[str, str]) -> list[tuple[str, str, bool]]:
    """(name, C type, whether it is a pointer) of each parameter."""
    out = []
    for part in text.split(","):
        words = part.replace("*", " * ").replace("__restrict__", " ").split()
        kind = " ".join(word for word in words[:-1] if word not in ("const", "*"))
        out.append((words[-1], names.get(kind, kind), "*" in words))
    return out


def _pass(kernel: str, parameter: tuple[str, str, bool], value: Any) -> Any:
    name, kind, pointer = parameter
    if pointer and isinstance(value, np.uintp) and value == 0:
        return None
    if pointer and isinstance(value, np.ndarray) and value.dtype.type in TYPES[kind]:
        return ctypes.c_void_p(value.ctypes.data)
    if not pointer and type(value) in TYPES[kind]:
        return np.ctypeslib.as_ctypes_type(value.dtype)(value.item())
    given = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(f"{kernel}: {name} is {kind}{'*' * pointer}, not {given}")


@cache
def compiler() -> str | None:
    """Where g++ is."""
    return shutil.which("g++")


@cache
def sanitizer_library() -> str | None:
    """The shared library of g++'s address sanitizer, to be preloaded by a process that loads sanitized kernels."""
    found = subprocess.run([compiler() or "g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())  # the bare name when there is none
    return str(path) if path.is_absolute() else None


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lungscan-shim-")


@cache
def _build(code: str, launchers: str, flags: tuple[str, ...]) -> str:
    folder = Path(tempfile.mkdtemp(dir=_folder().name))
    unit, library = folder / "kernels.cpp", folder / "kernels.so"
    unit.write_text(f'#include "shim.h"\n#line 1 "kernels.cu"\n{code}\n{launchers}\n')
    fixed = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fopenmp", "-fno-strict-aliasing", f"-I{Path(__file__).parent}"]
    done = subprocess.run(
        [compiler() or "g++", *fixed, *flags, str(unit), "-o", str(library)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SyntaxError(done.stderr)
    return str(library)


def poisoned(shape: Any, dtype: Any) -> np.ndarray:
    """An array full of what no kernel may rely on: NaN, or bytes that make neither a count nor an index."""
    out = np.empty(shape, dtype)
    out.view(np.uint8).fill(0xA5)
    return np.full(shape, np.nan, dtype) if out.dtype.kind == "f" else out


def cupy(extra: Sequence[str] = ()) -> SimpleNamespace:
    """As much of CuPy as launching kernels takes, on NumPy arrays; what is not set is poisoned."""

    def raw_module(code: str, options: Sequence[str] = ()) -> ShimModule:
        return ShimModule(code, options, extra)

    own = {"RawModule": raw_module, "empty": poisoned}
    same = ("cumsum", "ascontiguousarray", "int16", "int32", "int64", "uint8", "uint32", "float32", "bool_")
    return SimpleNamespace(**own, **{name: getattr(np, name) for name in same})
