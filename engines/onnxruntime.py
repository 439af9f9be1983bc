"""ONNX Runtime on a CPU: the second engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import numpy as np
from lungscan.engines import Batch
from lungscan.engines.unreported import unreported

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network

with unreported():
    import onnxruntime as ort

_INPUTS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRuntimeEngine:
    """Rows run one request after the other, each on all cores.

    exported : an ONNX file to run in place of the network's graph, whatever its type
    """

    name = "onnxruntime"
    device = "cpu"
    precision = "fp32"

    def __init__(self, network: Network, precision: str, *, exported: bytes | None = None) -> None:
        if exported is None and precision not in ("auto", "fp32"):
            raise EngineUnavailable(f"onnxruntime runs fp32 on a CPU, not {precision}; use --precision fp32.")
        self.version = version("onnxruntime")
        self._rows = network.rows
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(exported or network.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base
            raise EngineUnavailable(f"onnxruntime does not run {network.name} in {precision} on a CPU.") from error
        self._type = _INPUTS[self._session.get_inputs()[0].type]

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            parts = [
                self._session.run(None, {"hu": np.ascontiguousarray(batch[at : at + self._rows], self._type)})[0]
                for at in range(0, len(batch), self._rows)
            ]
            yield np.concatenate(parts)
