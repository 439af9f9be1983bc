"""Crops at the borders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lungscan.kernels.crop import crop_starts, crops

from lungscan.volume import Shape


def test_a_crop_is_centred_and_shifted_inside_at_the_borders() -> None:
    centres = np.array([[10.0, 20.0, 30.0], [0.0, 0.0, 0.0], [19.0, 39.0, 59.0]])
    assert crop_starts(centres, (4, 6, 8)).tolist() == [[8, 17, 26], [-2, -3, -4], [17, 36, 55]]
    hu = np.arange(20 * 40 * 60, dtype=np.int16).reshape(20, 40, 60)
    for crop, (i, r, c) in zip(
        crops(hu, centres, (4, 6, 8), (1,), "shift"), [(8, 17, 26), (0, 0, 0), (16, 34, 52)], strict=True
    ):
        np.testing.assert_array_equal(crop[0], hu[i : i + 4, r : r + 6, c : c + 8])


def test_halves_round_to_even_as_in_the_book() -> None:
    # Python's round: 10.5 -> 10, 11.5 -> 12, and again after half an odd size is taken off.
    starts = crop_starts(np.array([[10.5, 11.5, 7.0]]), (4, 4, 5))
    assert starts.tolist() == [[round(round(10.5) - 2.0), round(round(11.5) - 2.0), round(7 - 2.5)]]


@pytest.mark.parametrize("centre", [(1.0, 4.0, 4.0), (2.0, 0.0, 7.0), (9.0, 9.0, 0.0)])
def test_the_border_is_repeated_as_numpy_s_edge_padding_does(centre: tuple[float, ...]) -> None:
    hu = np.random.default_rng(1).integers(-1000, 400, (10, 11, 12)).astype(np.int16)
    (crop,) = crops(hu, np.array([centre]), (8, 10, 10), (1,), "repeat")
    i, r, c = (int(at) for at in centre)
    padded = np.pad(hu, 8, mode="edge")
    np.testing.assert_array_equal(crop[0], padded[i + 4 : i + 12, r + 3 : r + 13, c + 3 : c + 13])


def test_a_volume_smaller_than_the_crop_is_repeated() -> None:
    hu = np.arange(3 * 8 * 8, dtype=np.int16).reshape(3, 8, 8)
    (crop,) = crops(hu, np.array([[1.0, 4.0, 4.0]]), (5, 4, 4), (1,), "shift")
    np.testing.assert_array_equal(crop[0, :3], hu[:, 2:6, 2:6])
    np.testing.assert_array_equal(crop[0, 3:], np.broadcast_to(hu[2, 2:6, 2:6], (2, 4, 4)))


def test_a_wider_crop_shows_means() -> None:
    hu = np.random.default_rng(0).integers(-1000, 400, (16, 20, 24)).astype(np.int16)
    (crop,) = crops(hu, np.array([[8.0, 10.0, 12.0]]), (4, 4, 6), (1, 2), "repeat")
    np.testing.assert_array_equal(crop[0], hu[6:10, 8:12, 9:15])
    wide = hu[4:12, 6:14, 6:18].astype(float)
    corners = [wide[i::2, r::2, c::2] for i in (0, 1) for r in (0, 1) for c in (0, 1)]
    np.testing.assert_array_equal(crop[1], np.floor(np.mean(corners, axis=0)))


@pytest.mark.parametrize("border", ["shift", "repeat"])
@pytest.mark.parametrize("shape", [(16, 20, 24), (3, 9, 40), (1, 1, 1)])
@pytest.mark.parametrize("scales", [(1, 2), (3,)])
def test_triton_crops_as_numpy_does(
    interpreted: Callable[..., Any], shape: Shape, border: str, scales: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(3)
    hu = rng.integers(-32768, 32768, shape).astype(np.int16)
    halves = rng.integers(-4, 2 * np.array(shape) + 4, (3, 3)) / 2  # inside, at the border and beyond; halves to even
    nothing = np.zeros((1, 3))  # a row of the table that holds no candidate
    centres = np.concatenate([halves, rng.random((2, 3)) * shape, nothing])
    out = interpreted(crops, hu, centres, (4, 5, 6), scales, border)
    np.testing.assert_array_equal(out, crops(hu, centres, (4, 5, 6), scales, border))


def test_triton_crops_any_strides_and_no_candidate(interpreted: Callable[..., Any]) -> None:
    hu = np.random.default_rng(4).integers(-1000, 400, (8, 20, 24)).astype(np.int16)
    part = (slice(None, None, -1), slice(None, None, 2), slice(3, None))
    for centres in (np.array([[4.0, 5.0, 6.0]]), np.empty((0, 3))):
        out = interpreted(crops, hu, centres, (4, 4, 4), (1, 2), "shift", part=part)
        np.testing.assert_array_equal(out, crops(hu[part], centres, (4, 4, 4), (1, 2), "shift"))
