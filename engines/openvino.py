"""OpenVINO on a CPU: the default engine."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import properties

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network

_TYPES = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}


class OpenVinoEngine:
    """Rows go to as many requests in flight as the CPU has streams; a row that lies contiguous in memory is not copied."""

    name = "openvino"
    device = "cpu"

    def __init__(self, network: Network, precision: str) -> None:
        core = ov.Core()
        native = core.get_property("CPU", properties.device.capabilities)
        self.precision = _native_precision(native) if precision == "auto" else precision
        if self.precision.upper() not in native:
            raise EngineUnavailable(f"this CPU does not run {precision} natively; use --precision fp32.")
        self.version = version("openvino")
        self._rows = network.rows
        compiled = core.compile_model(
            core.read_model(network.onnx),
            "CPU",
            {
                properties.hint.performance_mode: properties.hint.PerformanceMode.THROUGHPUT,
                properties.hint.inference_precision: _TYPES[self.precision],
            },
        )
        self._queue = ov.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        parts: list[npt.NDArray[np.float32] | None] = [None] * -(-len(batch) // self._rows)
        for k in range(len(parts)):
            rows = np.require(batch[k * self._rows : (k + 1) * self._rows], requirements=("C", "W"))
            self._queue.start_async({0: ov.Tensor(rows, shared_memory=True)}, userdata=(parts, k, rows))
        self._queue.wait_all()
        return np.concatenate([part for part in parts if part is not None])


def _keep(request: Any, job: tuple[list[npt.NDArray[np.float32] | None], int, npt.NDArray[np.float32]]) -> None:
    parts, k, _ = job
    parts[k] = request.get_output_tensor(0).data.copy()


def _native_precision(capabilities: list[str]) -> str:
    return "bf16" if "BF16" in capabilities else "fp32"
