"""Crops at the borders."""

from __future__ import annotations

import numpy as np
from lungscan.kernels.crop import crop_starts, crops


def test_a_crop_is_centred_and_shifted_inside_at_the_borders() -> None:
    centres = np.array([[10.0, 20.0, 30.0], [0.0, 0.0, 0.0], [19.0, 39.0, 59.0]])
    starts = crop_starts(centres, (4, 6, 8), (20, 40, 60))
    assert starts.tolist() == [[8, 17, 26], [0, 0, 0], [16, 34, 52]]


def test_halves_round_to_even_as_in_the_book() -> None:
    # Python's round: 10.5 -> 10, 11.5 -> 12, and again after half an odd size is taken off.
    starts = crop_starts(np.array([[10.5, 11.5, 7.0]]), (4, 4, 5), (99, 99, 99))
    assert starts.tolist() == [[round(round(10.5) - 2.0), round(round(11.5) - 2.0), round(7 - 2.5)]]


def test_values_are_the_volume_s_and_fill_stands_outside() -> None:
    hu = np.arange(3 * 8 * 8, dtype=np.int16).reshape(3, 8, 8)
    (crop,) = crops(hu, np.array([[1.0, 4.0, 4.0]]), (5, 4, 4), (1,), fill=-1000)
    np.testing.assert_array_equal(crop[0, :3], hu[:, 2:6, 2:6])
    assert (crop[0, 3:] == -1000).all()


def test_a_wider_crop_shows_means() -> None:
    hu = np.random.default_rng(0).integers(-1000, 400, (16, 20, 24)).astype(np.int16)
    (crop,) = crops(hu, np.array([[8.0, 10.0, 12.0]]), (4, 4, 6), (1, 2), fill=-1000)
    np.testing.assert_array_equal(crop[0], hu[6:10, 8:12, 9:15])
    wide = hu[4:12, 6:14, 6:18].astype(float)
    corners = [wide[i::2, r::2, c::2] for i in (0, 1) for r in (0, 1) for c in (0, 1)]
    np.testing.assert_array_equal(crop[1], np.floor(np.mean(corners, axis=0)))
