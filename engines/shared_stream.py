"""One stream and one pool of device memory for torch, CuPy and TensorRT, so that arrays pass between them as they are.

Torch's caching allocator owns the memory where torch is installed, and CuPy asks it; without torch CuPy's own pool does.
Work of all three goes to CuPy's current stream: in its order nothing waits for the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lungscan.errors import EngineUnavailable


@cache
def capability() -> tuple[int, int]:
    """Compute capability of the current GPU, (9, 0) for an H100. Raises EngineUnavailable without a GPU or CuPy."""
    if find_spec("cupy") is None:
        raise EngineUnavailable("a CUDA device needs CuPy: pip install 'lungscan-ct[gpu]', or use --device cpu.")
    cupy = import_module("cupy")
    if not cupy.cuda.is_available():
        raise EngineUnavailable("there is no CUDA device that this machine's driver can use; use --device cpu.")
    digits = str(cupy.cuda.Device().compute_capability)
    return int(digits[:-1]), int(digits[-1])


def gpu() -> tuple[int, int] | None:
    """Compute capability of the current GPU, None without one that can be used."""
    try:
        return capability()
    except EngineUnavailable:
        return None


@contextmanager
def shared_stream() -> Iterator[Any]:
    """CuPy's current stream, which is torch's too inside the block. One that is not the null stream is made when needed:
    a CUDA graph cannot be captured on the null stream."""
    cupy = import_module("cupy")
    stream = cupy.cuda.get_current_stream()
    if stream.ptr == 0:
        stream = _own_stream()
    with stream:
        if find_spec("torch") is None:
            yield stream
            return
        torch = import_module("torch")
        _pool_of_torch()
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.ptr)):
            yield stream


@cache
def _own_stream() -> Any:
    """Ordered against the null stream, so that what was made there before is whole here."""
    return import_module("cupy").cuda.Stream(non_blocking=False)


@cache
def _pool_of_torch() -> None:
    """CuPy's memory from torch's caching allocator, on the stream that CuPy asks for."""
    cupy, torch = import_module("cupy"), import_module("torch")

    def malloc(size: int, device: int) -> int:
        return int(torch.cuda.caching_allocator_alloc(size, device, cupy.cuda.get_current_stream().ptr))

    def free(address: int, _device: int) -> None:
        torch.cuda.caching_allocator_delete(address)

    cupy.cuda.set_allocator(cupy.cuda.PythonFunctionAllocator(malloc, free).malloc)


def on_gpu(batch: Any, dtype: str) -> Any:
    """A batch as CuPy holds it, in this type, copied only where it must be."""
    return import_module("cupy").asarray(batch, dtype=dtype)


def as_given(result: Any, batch: Any) -> Any:
    """A CuPy result in the world of the batch that it came from: NumPy for NumPy."""
    import numpy as np

    return result.get() if isinstance(batch, np.ndarray) else result
