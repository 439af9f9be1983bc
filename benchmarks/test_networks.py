"""The shipped networks by batch and precision against torch eager: in float32 on a CPU, in the same precision on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lungscan.engines import Engine, open_engine
from lungscan.engines.proof import MOST

from benchmarks.conftest import Compare, OnGpu
from lungscan import traffic, weights
from lungscan.benchmark.work import Work
from lungscan.errors import EngineUnavailable
from lungscan.networks import modules
from lungscan.networks.graph import Network
from lungscan.parity.gate import networks
from lungscan.weights import Weights

SIDE = 256
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Eager = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def loaded() -> Weights:
    return weights.load(weights.shipped())


def rows(network: Network, number: int) -> np.ndarray:
    """HU in noise, as many slices or crops."""
    inputs = network.card.input
    shape = (2 * inputs.context_slices + 1, SIDE, SIDE) if network.name == "segmentation" else (2, *inputs.crop_irc)
    return np.random.default_rng(number).integers(-1000, 400, (number, *shape)).astype(np.float32)


def eager(network: Network, device: str, precision: str) -> Eager:
    """The network as torch runs it, layer by layer."""
    card, is_map = network.card, network.name == "segmentation"
    module: torch.nn.Module = modules.unet(card) if is_map else modules.classifier(card, card.nodule)
    modules.fill(module, dict(network.tensors))
    module = module.to(device).eval()

    @torch.inference_mode()
    def run(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, TYPES[precision], enabled=precision != "fp32"):
            logits = module(x)
        return torch.sigmoid(logits.float())[:, 0] if is_map else torch.softmax(logits.float(), 1)[:, 1]

    return run


@pytest.fixture
def on_cpu(loaded: Weights, which: int, precision: str) -> Engine:
    return _opened(loaded, which, "cpu", "openvino", precision)


@pytest.fixture
def on_device(stream: Any, loaded: Weights, which: int, engine: str, precision: str) -> Engine:  # noqa: ARG001 (of it)
    return _opened(loaded, which, "cuda", engine, precision)


def _opened(loaded: Weights, which: int, device: str, engine: str, precision: str) -> Engine:
    try:
        return open_engine(list(networks(loaded))[which], device, engine, precision)
    except EngineUnavailable as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("which", "number"), [(0, 1), (0, 8), (1, 8)], ids=["1 slice", "8 slices", "8 crops"])
def test_network(on_cpu: Engine, faster: Compare, loaded: Weights, which: int, precision: str, number: int) -> None:
    network = list(networks(loaded))[which]
    x, plain = rows(network, number), eager(network, "cpu", "fp32")

    def same(ours: np.ndarray, expected: np.ndarray) -> None:
        assert np.abs(ours - expected).max() <= MOST[precision]

    faster(lambda: next(on_cpu([x])), lambda: plain(torch.from_numpy(x)).numpy(), same=same, floor=0.7)


@pytest.mark.gpu
@pytest.mark.parametrize("number", [1, 8, 16, 32])
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("engine", ["torch", "tensorrt"])
@pytest.mark.parametrize("which", [0, 1], ids=["segmentation", "nodule"])
def test_network_on_a_gpu(
    on_device: Engine, on_gpu: OnGpu, loaded: Weights, which: int, precision: str, number: int
) -> None:
    import cupy

    network = list(networks(loaded))[which]
    x = rows(network, number)
    there = cupy.asarray(x, dtype=np.float32 if precision == "fp32" else np.float16)
    (expected,) = open_engine(network, "cpu", precision="fp32")([x])
    run, tensor = eager(network, "cuda", precision), torch.from_numpy(x).cuda()

    def right(p: Any) -> bool:
        p = p.cpu().numpy() if isinstance(p, torch.Tensor) else p.get()
        return bool(np.abs(p - expected).max() <= MOST[precision])

    card = network.card
    if which == 0:
        moved = traffic.unet(card, number * SIDE**2, precision)
    else:
        moved = traffic.classifier(card, card.nodule, number, precision)
    on_gpu(Work("network", lambda: next(on_device([there])), right, moved), {"torch eager": (lambda: run(tensor), right)})
