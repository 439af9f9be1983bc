"""TensorRT on a GPU: a plan from the user's cache, or built for this GPU and kept there, on the shared stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from lungscan.engines import Batch, plan, store
from lungscan.engines.shared_stream import as_given, capability, on_gpu, shared_stream

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network


class TensorRtEngine:
    """NumPy batches give NumPy, CuPy batches CuPy; the result is on its way, in the order of the shared stream.

    TensorRT reads rows that lie contiguous, in the plan's type: a batch that does not is copied on the GPU.
    """

    name = "tensorrt"
    device = "cuda"

    def __init__(self, network: Network, precision: str) -> None:
        trt = plan.tensorrt()
        self.precision = "fp16" if precision == "auto" else precision
        major, minor = capability()
        sm = plan.target(trt, f"sm_{major}{minor}")
        self.name, self.version = trt.__name__, trt.__version__
        self.key, self.entry = plan.plan(trt, network, self.precision, sm)
        self._most = plan.Profile.of(network).most
        self._kind = "float32" if self.precision == "fp32" else "float16"
        self._engine = deserialised(trt, self.entry.files[".plan"])
        self._warm = _Warm(trt, self._engine, self.key)
        self._context = self._warm.context()

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        cupy = import_module("cupy")
        for batch in batches:
            if any(side > most for side, most in zip(batch.shape[1:], self._most[1:], strict=True)):
                raise EngineUnavailable(
                    f"a batch of {batch.shape} is larger than TensorRT's plan takes, {self._most}; use --engine torch."
                )
            with shared_stream() as stream:
                parts = [
                    self._run(on_gpu(batch[at : at + self._most[0]], self._kind), stream)
                    for at in range(0, len(batch), self._most[0])
                ]
                result = parts[0] if len(parts) == 1 else cupy.concatenate(parts)
                given = as_given(result, batch)
            self._warm.keep()
            yield given

    def _run(self, rows: Any, stream: Any) -> Any:
        cupy = import_module("cupy")
        rows = cupy.ascontiguousarray(rows)
        context = self._context
        if not context.set_input_shape("hu", rows.shape):
            raise EngineUnavailable(f"TensorRT does not take a batch of {rows.shape}: {plan.log(plan.tensorrt()).last()}.")
        out = cupy.empty(tuple(context.get_tensor_shape("p")), "float32")
        context.set_tensor_address("hu", rows.data.ptr)
        context.set_tensor_address("p", out.data.ptr)
        size = context.update_device_memory_size_for_shapes()
        scratch = cupy.cuda.alloc(size)  # from the shared pool, which gives it to others in the stream's order
        context.set_device_memory(scratch.ptr, size)
        if not context.execute_async_v3(stream.ptr):
            raise EngineUnavailable(f"TensorRT failed at a batch of {rows.shape}: {plan.log(plan.tensorrt()).last()}.")
        return out


def deserialised(trt: Any, blob: bytes) -> Any:
    """The engine in a plan. TensorRT gives None for one that it cannot take, and raises nothing.

    Raises EngineUnavailable with what it logged.
    """
    said = plan.log(trt)
    said.messages.clear()
    engine = trt.Runtime(said).deserialize_cuda_engine(blob)
    if engine is None:
        raise EngineUnavailable(f"TensorRT cannot load this plan here: {said.last()}; use --engine torch or --device cpu.")
    return engine


class _Warm:
    """The kernels that TensorRT for RTX compiles for this GPU at the first run, kept for the next process."""

    def __init__(self, trt: Any, engine: Any, key: store.Key) -> None:
        self._trt, self._engine = trt, engine
        self._key = store.Key(**{**vars(key), "kind": "kernels"})
        self._cache: Any = None
        self._kept = False

    def context(self) -> Any:
        by_user = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not plan.is_rtx(self._trt):
            return self._engine.create_execution_context(by_user)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(by_user)
        self._cache = config.create_runtime_cache()
        entry = store.load(self._key)
        if entry is not None:
            self._kept = bool(self._cache.deserialize(entry.files[".kernels"]))
        config.set_runtime_cache(self._cache)
        return self._engine.create_execution_context(config)

    def keep(self) -> None:
        """After the first batch, once."""
        if self._cache is None or self._kept:
            return
        self._kept = True
        with contextlib.suppress(EngineUnavailable):
            store.save(self._key, store.Entry({".kernels": bytes(self._cache.serialize())}))
