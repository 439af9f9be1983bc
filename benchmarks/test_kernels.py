"""Every kernel on a GPU at a scan's size: against CuPy, cuCIM, bkeccl and torch, and against the bytes that it must move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lungscan.kernels.first_level import FirstLevel, first_level
from lungscan.kernels.stack import slab, windows
from lungscan.kernels.upload import upload

from benchmarks import rivals
from benchmarks.conftest import OnGpu
from lungscan import weights
from lungscan.benchmark.kernels import Inputs, inputs, kernels
from lungscan.benchmark.work import Work
from lungscan.networks import graph, modules

pytestmark = pytest.mark.gpu
WINDOW_HU = (-1000, 400)
NAMES = ["window", "stack", "mask", "resample", "crop", "component table"]
SLICES = 16


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return np.random.default_rng(3).integers(-1024, 1500, (300, 512, 512)).astype(np.int16)


@pytest.fixture
def given(stream: Any, hu: np.ndarray) -> Inputs:  # noqa: ARG001 (arrays are made on its stream)
    import cupy

    return inputs(hu, cupy)


@pytest.mark.parametrize("name", NAMES)
def test_kernel(on_gpu: OnGpu, given: Inputs, name: str) -> None:
    work = next(work for work in kernels(given, WINDOW_HU, "fp16") if work.name == name)
    on_gpu(work, rivals.of(name, given, WINDOW_HU, np.float16))


def test_upload(on_gpu: OnGpu, hu: np.ndarray) -> None:
    """Over the bus: its floor is not memory's."""
    import cupy

    def right(out: Any) -> bool:
        return bool((out.get() == hu).all())

    on_gpu(Work("upload", lambda: upload(hu), right, 2 * hu.size), {"cupy.asarray": (lambda: cupy.asarray(hu), right)})


def test_first_level(on_gpu: OnGpu, hu: np.ndarray) -> None:
    """The U-Net's first level with the shipped networks against the same layers of torch, eager, channels last."""
    import cupy
    import torch
    from torch.nn import functional as F  # noqa: N812

    loaded = weights.load(weights.shipped())
    fold = graph.fold(loaded.card.segmentation)
    level = FirstLevel.of(loaded.segmentation, fold)
    box = ((0, SLICES), (0, hu.shape[1]), (0, hu.shape[2]))
    stacks = windows(slab(cupy.asarray(hu[: 2 * SLICES]), box, WINDOW_HU, 3, 1, np.float16), 3)
    network = modules.unet(loaded.card)
    modules.fill(network, loaded.segmentation)
    network = network.cuda().half().to(memory_format=torch.channels_last).eval()
    x = torch.from_dlpack(stacks).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def eager() -> Any:
        skip = network.down[0](F.pixel_unshuffle(network.input_norm(x), fold))
        return skip, F.avg_pool2d(skip, 2)

    expected = [part.float().cpu().numpy() for part in eager()]

    def near(out: Any) -> bool:
        return all(np.abs(o.get() - e).max() <= 0.02 * np.abs(e).max() for o, e in zip(out, expected, strict=True))

    pixels = SLICES * hu.shape[1] * hu.shape[2] // fold**2
    moved = round(pixels * (2 * fold**2 + 6.5 * level.channels))
    on_gpu(Work("first level", lambda: first_level(stacks, level), near, moved), {"torch eager": (eager, lambda _: True)})
