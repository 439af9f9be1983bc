"""Masks against NumPy's comparison, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lungscan.kernels.mask import mask, mask_of_logits

SHAPES = [(0, 4, 4), (1, 1, 1), (3, 17, 29), (4, 8, 32), (1, 1, 31), (1, 3, 11)]


def bits(words: np.ndarray, voxels: int) -> np.ndarray:
    """The mask as Python's own integers spell it."""
    assert words.dtype == np.uint32
    everything = [int(word) >> bit & 1 for word in words for bit in range(32)]
    assert not any(everything[voxels:])
    return np.array(everything[:voxels], bool)


def heatmap(shape: tuple[int, ...], kind: str, dtype: type) -> np.ndarray:
    p = {"random": np.random.default_rng(0).random(shape), "empty": np.zeros(shape), "full": np.ones(shape)}[kind]
    if kind == "empty" and p.size:
        p.ravel()[p.size // 2] = 0.5  # at the level is not over it
    return p.astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["random", "empty", "full"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_bit_a_voxel_over_the_level(shape: tuple[int, ...], kind: str, dtype: type) -> None:
    p = heatmap(shape, kind, dtype)
    np.testing.assert_array_equal(bits(mask(p, 0.5), p.size), p.ravel() > 0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["random", "empty", "full"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_triton_packs_as_numpy_does(interpreted: Callable[..., Any], shape: tuple[int, ...], kind: str, dtype: type) -> None:
    p = heatmap(shape, kind, dtype)
    np.testing.assert_array_equal(interpreted(mask, p, 0.5), mask(p, 0.5))


def test_a_heatmap_in_half_precision_is_compared_in_single(interpreted: Callable[..., Any]) -> None:
    p = np.array([[[0.3, 0.2998, 0.30005]]], np.float16)  # as float16, 0.3 is a little over 0.3
    level = 0.29995
    for words in (mask(p, level), interpreted(mask, p, level)):
        assert bits(words, 3).tolist() == [float(value) > np.float32(level) for value in p.ravel()]


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize(("given", "wanted"), [(np.float32, np.float32), (np.float16, np.float16), (np.float16, np.float32)])
def test_logits_give_torch_s_probability_and_its_mask(
    interpreted: Callable[..., Any], shape: tuple[int, ...], given: type, wanted: type
) -> None:
    logits = np.random.default_rng(1).normal(0, 4, shape).astype(given)
    logits.ravel()[0] = -120.0
    logits.ravel()[-1] = 120.0
    oracle = torch.sigmoid(torch.from_numpy(logits).double()).numpy()
    for words, p in (mask_of_logits(logits, 0.3, wanted), interpreted(mask_of_logits, logits, 0.3, wanted)):
        assert p.dtype == wanted
        np.testing.assert_allclose(p, oracle, rtol=2 * np.finfo(wanted).eps, atol=1e-7)
        np.testing.assert_array_equal(bits(words, p.size), p.ravel().astype(np.float32) > np.float32(0.3))
