"""Network runners behind one callable: batches in, arrays out. Installed as `lungscan.engines`; one runner a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lungscan.errors import EngineUnavailable, UsageError
from lungscan.networks.graph import Network

ENGINES = ("openvino", "onnxruntime", "torch")
"""Of a CPU, the first that is installed is the default."""

GPU_ENGINES = ("tensorrt", "torch")
"""Of a GPU, the first that runs on it is the default."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
DEVICES = ("auto", "cpu", "cuda")


Batch = npt.NDArray[np.float32]


class Engine(Protocol):
    """A network ready to run. Calling it takes batches of HU of any strides and yields float32, a row for a row.

    The next batch is made while the last one runs. Rows are independent: how they are cut into batches changes no result.
    On a CPU batches are float32 NumPy arrays. On a GPU they may be CuPy arrays, float32 or float16, and then the results are
    too: they are on their way, in the order of `shared_stream`.
    """

    name: str
    version: str
    precision: str
    device: str

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]: ...


def open_engine(
    network: Network,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "auto",
    *,
    keep: bool = False,
    narrow: bool = False,
) -> Engine:
    """The engine of this name, or the first that is installed and runs on the device, with the network loaded.

    device "auto" is the CPU; precision "auto" is what the device runs natively. `keep` lets the engine take what it compiled
    before from the user's cache, and put it there; `narrow` puts all cores on one request, which takes the least memory.
    Raises UsageError for an unknown name, EngineUnavailable when the engine is not installed or cannot run this precision or
    device.
    """
    for option, value, known in (
        ("--device", device, DEVICES),
        ("--engine", engine, ("auto", *dict.fromkeys((*ENGINES, *GPU_ENGINES)))),
        ("--precision", precision, PRECISIONS),
    ):
        if value not in known:
            raise UsageError(f"{option} {value} is not known; choose one of {', '.join(known)}.")
    if device == "cuda":
        return _on_gpu(network, engine, precision)
    if engine == "tensorrt":
        raise EngineUnavailable("tensorrt runs on a GPU alone; use --device cuda with it.")
    chosen = next((name for name in ENGINES if find_spec(name)), "openvino") if engine == "auto" else engine
    _installed(chosen)
    if chosen == "onnxruntime":
        from lungscan.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(network, precision)
    if chosen == "torch":
        from lungscan.engines.torch import TorchEngine

        return TorchEngine(network, "cpu", precision)
    if precision == "int8":
        from lungscan.engines.quantised import open_quantised

        return open_quantised(network, narrow=narrow)
    from lungscan.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(network, precision, keep=keep, narrow=narrow)


def _on_gpu(network: Network, engine: str, precision: str) -> Engine:
    if engine not in ("auto", *GPU_ENGINES):
        raise EngineUnavailable(f"{engine} runs on a CPU alone; use --engine {' or '.join(GPU_ENGINES)} with --device cuda.")
    from lungscan.engines.shared_stream import capability

    here = capability()
    if engine == "tensorrt" or (engine == "auto" and _tensorrt_serves(here)):
        from lungscan.engines.proof import proven_tensorrt

        return proven_tensorrt(network, precision)
    _installed("torch")
    from lungscan.engines.torch import TorchEngine

    return TorchEngine(network, "cuda", precision)


def _tensorrt_serves(capability: tuple[int, int]) -> bool:
    from lungscan.engines import plan

    try:
        return plan.serves(plan.tensorrt(), capability)
    except EngineUnavailable:
        return False


def _installed(engine: str) -> None:
    if find_spec(engine) is None:
        raise EngineUnavailable(f"the engine {engine} is not installed: pip install {engine}.")
