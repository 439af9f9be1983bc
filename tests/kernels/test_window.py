"""The window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lungscan.kernels.window import windowed


def test_values_outside_end_at_the_window_and_those_inside_are_kept() -> None:
    hu = np.array([[-32768, -1024, -1000, -999], [0, 399, 400, 32767]], np.int16)[:, ::-1]
    out = windowed(hu, (-1000, 400))
    assert out.tolist() == [[-999, -1000, -1000, -1000], [400, 400, 399, 0]]
    assert (out.dtype, out.flags.c_contiguous) == (np.float32, True)


def test_half_precision_holds_the_window_exactly() -> None:
    hu = np.arange(-2048, 2049).astype(np.int16)
    np.testing.assert_array_equal(windowed(hu, (-2048, 2048), np.float16).astype(int), hu)


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 1, 1), (3, 17, 29)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_triton_clips_as_numpy_does(interpreted: Callable[..., Any], shape: tuple[int, ...], dtype: type) -> None:
    hu = np.random.default_rng(0).integers(-32768, 32768, shape).astype(np.int16)
    flipped = (slice(None, None, -1), slice(None), slice(None, None, 2))
    out = interpreted(windowed, hu, (-1000, 400), dtype, part=flipped)
    np.testing.assert_array_equal(out, hu[flipped].clip(-1000, 400), strict=False)
    assert out.dtype == dtype
