"""PyTorch: the networks as they were trained. The oracle on a CPU, and the engine of GPUs that TensorRT does not run on.

On a GPU: channels last, float16 between the norms (autocast), compiled by Inductor to Triton where Triton is installed, and
replayed as one CUDA graph for each shape of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from lungscan.engines import Batch
from torch import Tensor, nn

from lungscan.errors import EngineUnavailable
from lungscan.networks import modules
from lungscan.networks.graph import Network

_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

MOST_GRAPHS = 8
"""Shapes whose CUDA graphs are held: each holds the memory of its activations. Batches of further shapes run without one."""

CPU_ROWS = 8
"""Rows at once on a CPU, which bounds the memory of their activations."""

Function = Callable[[Tensor], Tensor]


class TorchEngine:
    """NumPy batches give NumPy, CuPy batches CuPy; the result of a GPU is on its way, in the order of the shared stream."""

    name = "torch"

    def __init__(self, network: Network, device: str, precision: str) -> None:
        self.version = version("torch")
        self.device = device
        self.precision = precision if precision != "auto" else "fp16" if device == "cuda" else "fp32"
        if self.precision not in _TYPES or (device == "cpu" and self.precision != "fp32"):
            runs = ", ".join(_TYPES) if device == "cuda" else "fp32 alone"
            raise EngineUnavailable(f"torch runs {runs} on this device, not {precision}; use --precision fp32.")
        if device == "cuda" and self.precision == "fp32":
            torch.backends.cudnn.allow_tf32 = False  # for the whole process: TF32 keeps no more of a number than float16
        self._function = _function(network, device, _TYPES[self.precision])
        self._replays: dict[tuple[int, ...], _Replay] = {}

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        run = self._on_cpu if self.device == "cpu" else self._on_gpu
        for batch in batches:
            yield run(batch)

    def _on_cpu(self, batch: Batch) -> Batch:
        with torch.inference_mode():
            parts = [
                self._function(torch.from_numpy(np.require(batch[at : at + CPU_ROWS], requirements=("C", "W"))))
                for at in range(0, len(batch), CPU_ROWS)
            ]
            return torch.cat(parts).numpy()

    def _on_gpu(self, batch: Any) -> Any:
        from lungscan.engines.shared_stream import as_given, on_gpu, shared_stream

        with shared_stream(), torch.inference_mode():
            x = torch.utils.dlpack.from_dlpack(on_gpu(batch, "float32" if self.precision == "fp32" else "float16"))
            shape = tuple(x.shape)
            if shape not in self._replays and len(self._replays) < MOST_GRAPHS:
                self._replays[shape] = _Replay(self._function, x)
            p = self._replays[shape](x) if shape in self._replays else self._function(x)
            import cupy

            return as_given(cupy.from_dlpack(p), batch)


class _Replay:
    """The work on one shape as one CUDA graph: a launch in place of a hundred."""

    def __init__(self, function: Function, x: Tensor) -> None:
        self._x = x.clone(memory_format=_channels_last(x))
        for _ in range(3):  # what compiles, tunes or allocates does so before the capture
            function(self._x)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream()):
            self._p = function(self._x)

    def __call__(self, x: Tensor) -> Tensor:
        self._x.copy_(x, non_blocking=True)
        self._graph.replay()
        return self._p.clone()  # the next replay writes over it


def _function(network: Network, device: str, kind: torch.dtype) -> Function:
    """HU to probabilities, as the graph has it."""
    module = _module(network).to(device)
    if device == "cpu":
        _alike_on_any_threads(module)
    is_map = network.name == "segmentation"

    def probabilities(hu: Tensor) -> Tensor:
        with torch.autocast(device, kind, enabled=kind != torch.float32):
            logits = module(hu.float())
        return torch.sigmoid(logits.float())[:, 0] if is_map else torch.softmax(logits.float(), 1)[:, 1]

    module.to(memory_format=torch.channels_last if is_map else torch.channels_last_3d)  # type: ignore[call-overload]
    return _Compiled(probabilities) if device == "cuda" and find_spec("triton") is not None else probabilities


def _alike_on_any_threads(module: nn.Module) -> None:
    """On one thread ATen computes a 1x1 convolution by another kernel than on several, and rounds otherwise, unless it is
    dilated; of a single weight that means nothing."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            layer.dilation = (2, 2)


def _module(network: Network) -> nn.Module:
    card = network.card
    with torch.random.fork_rng(devices=[]):  # what a new module is filled with takes none of the program's random numbers
        if network.name == "segmentation":
            module: nn.Module = modules.unet(card)
        else:
            cnn = card.nodule if network.name == "nodule" else card.malignancy
            assert cnn is not None  # the network was written from it
            module = modules.classifier(card, cnn)
    modules.fill(module, dict(network.tensors))
    return module.eval().requires_grad_(False)


class _Compiled:
    """Inductor's version of a function; the function itself where Inductor cannot compile here."""

    def __init__(self, function: Function) -> None:
        self._plain = function
        self._function: Function = torch.compile(function)
        self._proven = False

    def __call__(self, x: Tensor) -> Tensor:
        try:
            p = self._function(x)
        except Exception:  # Inductor, Triton and the C compiler that they need raise what they like
            if self._proven:
                raise
            self._function = self._plain
            p = self._plain(x)
        self._proven = True
        return p


def _channels_last(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d
