"""Network runners behind one callable: batches in, arrays out. Installed as `lungscan.engines`; one runner a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lungscan.errors import EngineUnavailable, UsageError
from lungscan.networks.graph import Network

ENGINES = ("openvino", "onnxruntime")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")


Batch = npt.NDArray[np.float32]


class Engine(Protocol):
    """A network ready to run. Calling it takes batches of float32 HU of any strides and yields float32, a row for a row.

    The next batch is made while the last one runs. Rows are independent: how they are cut into batches changes no result.
    """

    name: str
    version: str
    precision: str
    device: str

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]: ...


def open_engine(network: Network, device: str = "auto", engine: str = "auto", precision: str = "auto") -> Engine:
    """The engine of this name, or the first of `ENGINES` that is installed, with the network loaded.

    precision "auto" is what the device runs natively. Raises UsageError for an unknown name, EngineUnavailable when the
    engine is not installed or cannot run this precision or device.
    """
    for option, value, known in (
        ("--device", device, DEVICES),
        ("--engine", engine, ("auto", *ENGINES)),
        ("--precision", precision, PRECISIONS),
    ):
        if value not in known:
            raise UsageError(f"{option} {value} is not known; choose one of {', '.join(known)}.")
    if device == "cuda":
        raise EngineUnavailable("no engine of this version runs on a CUDA device; use --device cpu.")
    chosen = next((name for name in ENGINES if find_spec(name)), None) if engine == "auto" else engine
    if chosen is None or find_spec(chosen) is None:
        raise EngineUnavailable(f"the engine {chosen or 'openvino'} is not installed: pip install {chosen or 'openvino'}.")
    if chosen == "onnxruntime":
        from lungscan.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(network, precision)
    from lungscan.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(network, precision)
