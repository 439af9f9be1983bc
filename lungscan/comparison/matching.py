"""Nodules of two aligned scans → which is which: one to one, the least distance in all."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from lungscan.volume import Array

GATE_MM = 15.0
"""Centres further apart are two nodules. Our own choice: where lungs were stretched by 40 mm at their base, an affine
alignment left up to 8 mm (measured), and a growing nodule's centre moves."""


def match(prior_xyz: Array, now_xyz: Array, gate_mm: float = GATE_MM) -> list[tuple[int, int]]:
    """Pairs of indices into two lists of centres (N,3) in mm, in one frame; as many pairs as the gate lets through."""
    if len(prior_xyz) == 0 or len(now_xyz) == 0:
        return []
    apart = cdist(prior_xyz, now_xyz)
    never = 1 + gate_mm * (1 + min(apart.shape))  # worse than every way to pair all the others
    rows, columns = linear_sum_assignment(np.where(apart <= gate_mm, apart, never))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if apart[i, j] <= gate_mm]
