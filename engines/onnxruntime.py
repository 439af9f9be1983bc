"""ONNX Runtime on a CPU: the second engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import numpy as np
import onnxruntime as ort
from lungscan.engines import Batch

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network


class OnnxRuntimeEngine:
    """Rows run one request after the other, each on all cores."""

    name = "onnxruntime"
    device = "cpu"
    precision = "fp32"

    def __init__(self, network: Network, precision: str) -> None:
        if precision not in ("auto", "fp32"):
            raise EngineUnavailable(f"onnxruntime runs fp32 on a CPU, not {precision}; use --precision fp32.")
        self.version = version("onnxruntime")
        self._rows = network.rows
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self._session = ort.InferenceSession(network.onnx, options, providers=["CPUExecutionProvider"])

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            parts = [
                self._session.run(None, {"hu": np.ascontiguousarray(batch[at : at + self._rows])})[0]
                for at in range(0, len(batch), self._rows)
            ]
            yield np.concatenate(parts)
