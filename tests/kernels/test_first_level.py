"""The U-Net's first level against the U-Net itself, in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lungscan.kernels.first_level import FirstLevel, first_level
from lungscan.kernels.stack import slab, windows
from torch.nn import functional as F  # noqa: N812

from lungscan.networks.unet import UNet


def network(slices: int, width: int, stem: str) -> UNet:
    torch.manual_seed(width)
    net = UNet(slices, 2, width, stem).eval()
    for name, part in net.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.weight, 1, 0.3)
            torch.nn.init.normal_(part.bias, 0, 0.3)
            part.running_mean.fill_(-600.0 if name == "input_norm" else 0.1)
            part.running_var.fill_(400.0**2 if name == "input_norm" else 0.8)
    return net


def oracle(net: UNet, stacks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        x = net.input_norm(torch.from_numpy(np.ascontiguousarray(stacks, np.float32)))
        skip = net.down[0](F.pixel_unshuffle(x, net.fold))
        return skip.numpy(), F.avg_pool2d(skip, 2).numpy()


def hu(shape: tuple[int, int, int], kind: str = "random") -> np.ndarray:
    out = np.random.default_rng(5).integers(-1000, 401, shape).astype(np.int16)
    return {"random": out, "air": np.full_like(out, -1000), "dense": np.full_like(out, 400)}[kind]


@pytest.mark.parametrize(
    ("slices", "width", "stem", "plane"),
    [(7, 16, "full", (12, 10)), (7, 16, "half", (20, 12)), (3, 4, "full", (2, 2)), (1, 20, "half", (4, 132))],
)
def test_the_first_level_equals_torch_s(
    interpreted: Callable[..., Any], slices: int, width: int, stem: str, plane: tuple[int, int]
) -> None:
    """In half precision each of three roundings costs up to 2**-11 of the largest value."""
    net = network(slices, width, stem)
    level = FirstLevel.of({name: value.numpy() for name, value in net.state_dict().items()}, net.fold)
    context = slices // 2
    box = ((0, 2), (0, plane[0]), (0, plane[1]))
    planes = slab(hu((2, *plane)), box, (-1000, 400), context, 1, np.float16)
    stacks = windows(planes, context)
    expected = oracle(net, stacks)
    for ours, theirs in zip(first_level(stacks, level), expected, strict=True):
        assert (ours.dtype, ours.shape) == (np.float32, theirs.shape)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    for ours, theirs in zip(interpreted(of_slab, planes, context, level), expected, strict=True):
        assert (ours.dtype, ours.shape) == (np.float16, theirs.shape)
        np.testing.assert_allclose(ours, theirs, atol=4 * 2**-11 * np.abs(theirs).max())


def of_slab(planes: np.ndarray, context: int, level: FirstLevel) -> tuple[np.ndarray, np.ndarray]:
    """The first level of a view, as a scan on a GPU calls it."""
    return first_level(windows(planes, context), level)


@pytest.mark.parametrize("kind", ["air", "dense"])
def test_the_same_of_channels_last_and_of_nothing_but_air(interpreted: Callable[..., Any], kind: str) -> None:
    """Beyond the image the network sees what its norm calls 0, which is neither air nor the norm of 0."""
    net = network(3, 16, "full")
    level = FirstLevel.of({name: value.numpy() for name, value in net.state_dict().items()}, 1)
    stacks = np.ascontiguousarray(hu((3, 6, 8), kind).astype(np.float32).transpose(1, 2, 0)[None]).transpose(0, 3, 1, 2)
    for ours, theirs in zip(interpreted(first_level, stacks, level), oracle(net, stacks), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=4 * 2**-11 * np.abs(theirs).max())
