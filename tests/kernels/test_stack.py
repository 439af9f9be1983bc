"""Stacks against NumPy's own padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lungscan.kernels.stack import slab, stacks, windows

from lungscan.volume import Box

WINDOW = (-1000, 400)


def made(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-3000, 3000, shape).astype(np.int16)


def expected(hu: np.ndarray, box: Box, context: int, cell: int) -> np.ndarray:
    """np.pad repeats the end slices and fills the cells up."""
    (first, last), rows, columns = box
    shown = np.pad(hu.clip(*WINDOW), ((context, context), (0, 0), (0, 0)), mode="edge")
    shown = shown[:, slice(*rows), slice(*columns)]
    shown = np.pad(shown, ((0, 0), (0, -shown.shape[1] % cell), (0, -shown.shape[2] % cell)), constant_values=WINDOW[0])
    return np.array([shown[i : i + 2 * context + 1] for i in range(first, last)])


CASES = {
    "the book's": ((5, 8, 16), ((0, 5), (0, 8), (0, 16)), 3, 8),
    "a box inside": ((9, 21, 29), ((2, 4), (8, 21), (16, 29)), 3, 8),
    "no multiple of the cell": ((4, 13, 17), ((1, 4), (0, 13), (0, 17)), 2, 4),
    "fewer slices than neighbours": ((2, 5, 6), ((0, 2), (0, 5), (0, 6)), 3, 2),
    "one voxel": ((1, 1, 1), ((0, 1), (0, 1), (0, 1)), 1, 1),
    "no neighbours": ((3, 4, 5), ((0, 3), (0, 4), (0, 5)), 0, 1),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_stacks_equal_numpy_s_padding(name: str, dtype: type) -> None:
    shape, box, context, cell = CASES[name]
    out = stacks(made(shape), box, WINDOW, context, cell, dtype)
    np.testing.assert_array_equal(out, expected(made(shape), box, context, cell))
    assert out.dtype == dtype


def test_stacks_are_views_of_one_slab() -> None:
    out = stacks(made((9, 16, 24)), ((2, 6), (0, 16), (0, 24)), WINDOW, 3, 8)
    assert np.shares_memory(out[0], out[3])
    np.testing.assert_array_equal(out[0, 6], out[3, 3])
    assert out[0, 0].flags.c_contiguous


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_triton_stacks_as_numpy_does(interpreted: Callable[..., Any], name: str, dtype: type) -> None:
    shape, box, context, cell = CASES[name]
    for function in (stacks, slab):
        out = interpreted(function, made(shape), box, WINDOW, context, cell, dtype)
        np.testing.assert_array_equal(out, function(made(shape), box, WINDOW, context, cell, dtype))
        assert out.dtype == dtype


def test_triton_takes_any_strides(interpreted: Callable[..., Any]) -> None:
    part = (slice(None, None, -1), slice(None, None, 2), slice(None, None, -1))
    hu, box = made((6, 20, 12)), ((1, 6), (0, 10), (0, 12))
    out = interpreted(stacks, hu, box, WINDOW, 1, 4, np.float16, part=part)
    np.testing.assert_array_equal(out, expected(hu[part], box, 1, 4))


def test_windows_on_a_gpu_are_those_of_numpy(interpreted: Callable[..., Any]) -> None:
    planes = made((7, 3, 4)).astype(np.float16)
    np.testing.assert_array_equal(interpreted(windows, planes, 2), windows(planes, 2))
