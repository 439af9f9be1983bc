"""CuPy without a GPU, as strict as the real one: arrays that NumPy holds, but that never turn into NumPy by themselves.

What would make the host wait for the device is counted: copies to the host, and every question whose answer the host needs
(the truth of an array, the number of its nonzero voxels). Raw CUDA runs through the shim, Triton in its interpreter, so the
whole way of a scan on a GPU runs on a CPU, source by source.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.ndimage

from tests.kernels.shim.shim import ShimModule

counts = {"to_host": 0, "to_device": 0, "waits": 0}
OF_UNKNOWN_SIZE = {"nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract"}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801 (CuPy's own name)
    """An array on the device that is not there."""

    __slots__ = ("held",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = tuple(_bare(x) for x in options["out"])
        return _dressed(getattr(ufunc, method)(*map(_of_this_world, inputs), **options))

    def __array_function__(self, function: Any, _types: Any, args: Any, options: Any) -> Any:
        return _called(function, args, options)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, ndarray) and part.held.dtype == bool for part in parts):
            counts["waits"] += 1
        return _dressed(np.asarray(self.held[_bare(key)]))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self.held[_bare(key)] = _bare(value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.held, name)
        if not callable(found):
            return _dressed(found) if isinstance(found, np.ndarray) else found
        if name in ("item", "tolist"):
            counts["to_host"] += 1
        return lambda *args, **options: _called(found, args, options)

    def __dlpack__(self, **options: Any) -> Any:
        options.pop("stream", None)
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.held.__dlpack_device__()

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def _asked(self) -> Any:
        counts["to_host"] += 1
        return self.held

    def __bool__(self) -> bool:
        return bool(self._asked())

    def __int__(self) -> int:
        return int(self._asked())

    def __float__(self) -> float:
        return float(self._asked())

    __index__ = __int__

    def get(self, **_: object) -> np.ndarray:
        return np.array(self._asked())

    def set(self, values: np.ndarray, **_: object) -> None:
        counts["to_device"] += 1
        self.held[...] = values


def _bare(x: Any) -> Any:
    if isinstance(x, ndarray):
        return x.held
    return type(x)(map(_bare, x)) if isinstance(x, tuple | list) else x


def _of_this_world(x: Any) -> Any:
    """CuPy refuses NumPy arrays beside its own; scalars are welcome."""
    if isinstance(x, np.ndarray) and x.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return _bare(x)


def _dressed(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return ndarray(np.asarray(x))
    return type(x)(map(_dressed, x)) if isinstance(x, tuple | list) else x


def _called(function: Any, args: Any, options: Any) -> Any:
    if getattr(function, "__name__", "") in OF_UNKNOWN_SIZE:
        counts["waits"] += 1
    args = tuple(_bare(a) for a in args)
    return _dressed(function(*args, **{name: _bare(value) for name, value in options.items()}))


def _asarray(x: Any, *args: Any, **options: Any) -> ndarray:
    if isinstance(x, ndarray):
        return _dressed(np.asarray(x.held, *args, **options))
    counts["to_device"] += 1
    return ndarray(np.array(x, *args, **{k: v for k, v in options.items() if k != "blocking"}))


class _Module(types.ModuleType):
    """A module whose functions are another's, on arrays of this world."""

    def __init__(self, name: str, of: Any) -> None:
        super().__init__(name)
        self.__dict__["_of"] = of

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if isinstance(found, type) or not callable(found):
            return found
        return lambda *args, **options: _called(found, args, options)


class RawModule(ShimModule):
    """CUDA source, by g++."""

    def get_function(self, name: str) -> Any:
        run = super().get_function(name)
        return lambda grid, block, arguments: run(grid, block, tuple(map(_bare, arguments)))


class _Event:
    def record(self, _stream: object = None) -> None: ...
    def synchronize(self) -> None: ...


class _Stream:
    """Everything happens at once."""

    ptr = 1

    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None: ...
    def synchronize(self) -> None:
        counts["waits"] += 1

    def record(self, _event: object = None) -> _Event:
        return _Event()


def _modules() -> dict[str, types.ModuleType]:
    cupy = _Module("cupy", np)
    cuda = types.ModuleType("cupy.cuda")
    cuda.Stream = _Stream  # type: ignore[attr-defined]
    cuda.get_current_stream = _Stream  # type: ignore[attr-defined]
    cuda.is_available = lambda: True  # type: ignore[attr-defined]
    cuda.Event = _Event  # type: ignore[attr-defined]
    cuda.get_elapsed_time = lambda *_: 1.0  # type: ignore[attr-defined]
    cuda.runtime = types.SimpleNamespace(memGetInfo=lambda: (1 << 40, 1 << 40))  # type: ignore[attr-defined]
    cupy.__dict__.update(
        ndarray=ndarray,
        asarray=_asarray,
        array=_asarray,
        asnumpy=lambda x: x.get(),
        from_dlpack=lambda t: ndarray(np.from_dlpack(t)),
        RawModule=RawModule,
        cuda=cuda,
    )
    cupyx = types.ModuleType("cupyx")
    cupyx.empty_pinned = np.empty  # type: ignore[attr-defined]
    scipy_ = types.ModuleType("cupyx.scipy")
    ndimage = _Module("cupyx.scipy.ndimage", scipy.ndimage)
    return {"cupy": cupy, "cupy.cuda": cuda, "cupyx": cupyx, "cupyx.scipy": scipy_, "cupyx.scipy.ndimage": ndimage}


def install() -> dict[str, int]:
    """From now on `import cupy` gives this one; what it counts."""
    sys.modules.update(_modules())
    return counts
