"""The Triton kernels on a GPU, at the sizes of a scan: what NumPy makes of the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lungscan.kernels.crop import crops
from lungscan.kernels.first_level import FirstLevel, first_level
from lungscan.kernels.mask import mask, mask_of_logits
from lungscan.kernels.resample import resample
from lungscan.kernels.stack import slab, stacks, windows
from lungscan.kernels.window import windowed

from lungscan.volume import Shape
from tests.support import random_networks, small_card

pytestmark = pytest.mark.gpu

WINDOW = (-1000, 400)
SHAPES = [(1, 1, 1), (3, 17, 29), (40, 211, 307), (24, 512, 512)]


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """CuPy, whose fresh arrays are full of NaN, or of a value that nobody asked for."""
    module = pytest.importorskip("cupy", reason="CuPy is not installed")
    pytest.importorskip("triton", reason="Triton is not installed")
    if not module.cuda.is_available() or not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU here, or a torch that does not see it")
    poison = {"f": np.nan, "i": -21846, "u": 0xAAAAAAAA}
    monkeypatch.setattr(module, "empty", lambda shape, dtype: module.full(shape, poison[np.dtype(dtype).kind], dtype))
    return module


def made(shape: Shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-3000, 3000, shape).astype(np.int16)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_window_and_stacks(cupy: Any, shape: Shape, dtype: type) -> None:
    hu = made(shape)[::-1, :, ::-1]
    there, box = cupy.asarray(made(shape))[::-1, :, ::-1], tuple((n // 3, n) for n in shape)
    np.testing.assert_array_equal(windowed(there, WINDOW, dtype).get(), windowed(hu, WINDOW, dtype))
    expected = stacks(hu, box, WINDOW, 3, 8, dtype)
    out = stacks(there, box, WINDOW, 3, 8, dtype)
    assert out.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(out.get(), expected)
    np.testing.assert_array_equal(windows(slab(there, box, WINDOW, 3, 8, dtype), 3).get(), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("new", [(2.0, 1.25, 1.25), (1.0, 0.5, 0.6), (1.25, 0.7, 0.7)])
def test_resampling_within_one_hu(cupy: Any, shape: Shape, new: tuple[float, float, float]) -> None:
    out = resample(cupy.asarray(made(shape)), (1.25, 0.7, 0.7), new).get()
    differ = np.abs(out.astype(int) - resample(made(shape), (1.25, 0.7, 0.7), new))
    assert differ.max() <= 1
    assert differ.mean() <= 0.001 or differ.size < 1000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_masks(cupy: Any, shape: Shape, dtype: type) -> None:
    p = np.random.default_rng(0).random(shape).astype(dtype)
    for heatmap in (p, np.zeros_like(p), np.ones_like(p)):
        np.testing.assert_array_equal(mask(cupy.asarray(heatmap), 0.5).get(), mask(heatmap, 0.5))
    logits = np.random.default_rng(1).normal(0, 4, shape).astype(dtype)
    words, probability = mask_of_logits(cupy.asarray(logits), 0.3, dtype)
    np.testing.assert_allclose(probability.get(), mask_of_logits(logits, 0.3, dtype)[1], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(words.get(), mask(probability.get(), 0.3))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("border", ["shift", "repeat"])
def test_crops(cupy: Any, shape: Shape, border: str) -> None:
    centres = np.random.default_rng(2).integers(-8, 2 * np.array(shape) + 8, (300, 3)) / 2
    size, scales = (20, 32, 32), (1, 2)
    out = crops(cupy.asarray(made(shape)), cupy.asarray(centres), size, scales, border)
    np.testing.assert_array_equal(out.get(), crops(made(shape), centres, size, scales, border))


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("plane", [(4, 4), (92, 140), (512, 512)])
def test_the_first_level_within_fp16(cupy: Any, fold: int, plane: tuple[int, int]) -> None:
    tensors = random_networks(small_card())["segmentation"]
    if fold == 2:
        conv = np.random.default_rng(3).normal(0, 0.05, (4, 28, 3, 3)).astype(np.float32)
        tensors |= {"down.0.conv1.weight": conv}
    level, box = FirstLevel.of(tensors, fold), ((0, 2), (0, plane[0]), (0, plane[1]))
    there = windows(slab(cupy.asarray(made((2, *plane))), box, WINDOW, 3, 1, np.float16), 3)
    here = stacks(made((2, *plane)), box, WINDOW, 3, 1)
    for ours, theirs in zip(first_level(there, level), first_level(here, level), strict=True):
        np.testing.assert_allclose(ours.get(), theirs, atol=4 * 2**-11 * np.abs(theirs).max())
