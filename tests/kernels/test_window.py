"""The window."""

from __future__ import annotations

import numpy as np
from lungscan.kernels.window import windowed


def test_values_outside_end_at_the_window_and_those_inside_are_kept() -> None:
    hu = np.array([[-32768, -1024, -1000, -999], [0, 399, 400, 32767]], np.int16)[:, ::-1]
    out = windowed(hu, (-1000, 400))
    assert out.tolist() == [[-999, -1000, -1000, -1000], [400, 400, 399, 0]]
    assert (out.dtype, out.flags.c_contiguous) == (np.float32, True)
