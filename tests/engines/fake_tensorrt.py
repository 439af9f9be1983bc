"""TensorRT and CuPy as far as the engine asks for them, without a GPU: a plan is an ONNX file, device memory the host's."""

from __future__ import annotations

import ctypes
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Array:
    """An array on the device that is not there."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held
        self.shape = held.shape

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, key: Any) -> Array:
        return Array(self.held[key])

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self.held.ctypes.data)

    def get(self) -> np.ndarray:
        return self.held.copy()


def held(x: Any) -> Any:
    return x.held if isinstance(x, Array) else x


class Stream:
    ptr = 7

    def __init__(self, **_: object) -> None: ...
    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Memory:
    size: int
    ptr: int = 4096


def cupy(capability: str = "120") -> types.ModuleType:
    module = types.ModuleType("cupy")
    module.asarray = lambda x, dtype: Array(np.asarray(held(x), dtype))  # type: ignore[attr-defined]
    module.ascontiguousarray = lambda x: Array(np.ascontiguousarray(held(x)))  # type: ignore[attr-defined]
    module.empty = lambda shape, dtype: Array(np.full(shape, np.nan, dtype))  # type: ignore[attr-defined]
    module.concatenate = lambda parts: Array(np.concatenate([held(part) for part in parts]))  # type: ignore[attr-defined]
    module.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        is_available=lambda: True,
        Device=lambda: types.SimpleNamespace(compute_capability=capability),
        Stream=Stream,
        get_current_stream=Stream,
        alloc=Memory,
    )
    return module


class Context:
    """Runs where its addresses point to, on the stream that it is given."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self.scratch = 0
        self.runs: list[tuple[tuple[int, ...], int]] = []

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        n, *rest = self._shape
        return (n, *rest[1:]) if len(rest) == 3 else (n,)

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def update_device_memory_size_for_shapes(self) -> int:
        return 1024

    def set_device_memory(self, _address: int, size: int) -> None:
        self.scratch = size

    def execute_async_v3(self, stream: int) -> bool:
        assert self.scratch == 1024
        hu = _at(self._addresses["hu"], self._shape, TYPES[self._session.get_inputs()[0].type])
        _at(self._addresses["p"], self.get_tensor_shape("p"), np.float32)[...] = self._session.run(None, {"hu": hu})[0]
        self.runs.append((self._shape, stream))
        return True


def _at(address: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)


class RuntimeCache:
    def __init__(self) -> None:
        self.taken = b""

    def deserialize(self, content: bytes) -> bool:
        self.taken = content
        return True

    def serialize(self) -> bytes:
        return b"kernels"


class Engine:
    """One that says what was asked of it."""

    def __init__(self, plan: bytes) -> None:
        self._session = ort.InferenceSession(plan)
        self.cache: RuntimeCache | None = None
        self.contexts: list[Context] = []

    def create_runtime_config(self) -> Any:
        def keep(cache: RuntimeCache) -> None:
            self.cache = cache

        return types.SimpleNamespace(
            set_execution_context_allocation_strategy=lambda _: None,
            create_runtime_cache=RuntimeCache,
            set_runtime_cache=keep,
        )

    def create_execution_context(self, _config: Any) -> Context:
        self.contexts.append(Context(self._session))
        return self.contexts[-1]


def tensorrt(name: str) -> types.ModuleType:
    """A module of this name, `tensorrt` or `tensorrt_rtx`, that loads plans and builds none."""
    module = types.ModuleType(name)
    module.__version__ = "1.0"  # type: ignore[attr-defined]
    module.ILogger = type("ILogger", (), {"Severity": types.SimpleNamespace(ERROR=1, INTERNAL_ERROR=0)})  # type: ignore[attr-defined]
    module.ComputeCapability = types.SimpleNamespace(__members__={"NONE": 0, "SM89": 3, "SM120": 4})  # type: ignore[attr-defined]
    module.ExecutionContextAllocationStrategy = types.SimpleNamespace(USER_MANAGED=2)  # type: ignore[attr-defined]
    module.Runtime = lambda _: types.SimpleNamespace(deserialize_cuda_engine=Engine)  # type: ignore[attr-defined]
    return module
