"""OpenVINO on a CPU: the default engine."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from lungscan.engines import Batch, store
from lungscan.engines.unreported import unreported

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network

with unreported():
    import openvino as ov
    from openvino import properties

_TYPES = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16, "int8": ov.Type.f32}
"""What is not quantised in an int8 network stays float32: bfloat16 was no faster there."""


class OpenVinoEngine:
    """Rows go to as many requests in flight as the CPU has streams; a row that lies contiguous in memory is not copied.

    exported : files by suffix to run in place of the network's graph: ".onnx", or ".xml" and ".bin"
    keep     : take the network as it was compiled before from the user's cache, or put it there
    narrow   : one request that all cores share, so that the memory does not grow with their number; the same results
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        network: Network,
        precision: str,
        *,
        exported: Mapping[str, bytes] | None = None,
        keep: bool = False,
        narrow: bool = False,
    ) -> None:
        core = ov.Core()
        native = core.get_property("CPU", properties.device.capabilities)
        self.precision = native_precision(native) if precision == "auto" else precision
        if self.precision.upper() not in native:
            raise EngineUnavailable(f"this CPU does not run {precision} natively; use --precision fp32.")
        self.version = version("openvino")
        self._rows = network.rows
        mode = properties.hint.PerformanceMode
        config = {
            properties.hint.performance_mode: mode.LATENCY if narrow else mode.THROUGHPUT,
            properties.hint.inference_precision: _TYPES[self.precision],
        }
        if exported is not None:
            files = [exported[suffix] for suffix in (".onnx", ".xml", ".bin") if suffix in exported]
            compiled = core.compile_model(core.read_model(*files), "CPU", config)
        else:
            compiled = _kept(core, network, self.precision, config) if keep and not narrow else None
        if compiled is None:
            compiled = core.compile_model(core.read_model(network.onnx), "CPU", config)
        self._type = compiled.input(0).element_type.to_dtype()
        self._queue = ov.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        before: _Running | None = None
        for batch in batches:
            running = _Running(-(-len(batch) // self._rows))
            for k in range(len(running.parts)):
                rows = np.require(batch[k * self._rows : (k + 1) * self._rows], self._type, ("C", "W"))
                self._queue.start_async({0: ov.Tensor(rows, shared_memory=True)}, userdata=(running, k, rows))
            if before is not None:
                yield before.result()
            before = running
        if before is not None:
            yield before.result()


class _Running:
    """A batch whose parts come in as their requests end."""

    def __init__(self, parts: int) -> None:
        self.parts: list[Batch | None] = [None] * parts
        self._ended = threading.Semaphore(0)

    def keep(self, k: int, part: Batch) -> None:
        self.parts[k] = part
        self._ended.release()

    def result(self) -> Batch:
        for _ in self.parts:
            self._ended.acquire()
        return np.concatenate([part for part in self.parts if part is not None])


def _keep(request: Any, job: tuple[_Running, int, Batch]) -> None:
    running, k, _ = job
    running.keep(k, request.get_output_tensor(0).data.copy())


def native_precision(capabilities: list[str]) -> str:
    return "bf16" if "BF16" in capabilities else "fp32"


def _kept(core: ov.Core, network: Network, precision: str, config: Mapping[str, Any]) -> ov.CompiledModel | None:
    """The network as it was compiled before, or compiled now and kept; None where no cache can be had."""
    cpu = core.get_property("CPU", properties.device.full_name)
    key = store.Key(
        kind="compiled",
        network=network.name,
        graph=store.digest(network.onnx),
        precision=precision,
        runtime=f"openvino {version('openvino')}",
        target=f"{cpu} {os.cpu_count()} {core.get_property('CPU', properties.device.capabilities)}",
    )
    try:
        if (entry := store.load(key)) is not None:
            with contextlib.suppress(RuntimeError):  # the runtime refuses its own file: it is compiled again
                return core.import_model(io.BytesIO(entry.files[".blob"]), "CPU", config)
        compiled = core.compile_model(core.read_model(network.onnx), "CPU", config)
        blob = io.BytesIO()
        compiled.export_model(blob)
        store.save(key, store.Entry({".blob": blob.getvalue()}))
    except EngineUnavailable:
        return None
    return compiled
