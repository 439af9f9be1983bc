"""Resampling of int16 HU to another spacing along the same axes.

Each output voxel is a mean under a triangle. Where the grid gets finer the triangle spans two input voxels, which is linear
interpolation; where it gets coarser it widens with the output spacing, so that every input voxel counts and noise averages
out instead of being picked from. The grids are parallel, so the three axes separate: rows and columns are one sparse
product each, slices a weighted sum, one output slice at a time. No float copy of the volume is ever held.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan.volume import Triple

TIE = 1e-6
"""Of a voxel: what rounding may cost at the last one."""


def resample(hu: npt.NDArray[np.int16], spacing_irc_mm: Triple, new_spacing_irc_mm: Triple) -> npt.NDArray[np.int16]:
    """HU on a grid of the new spacing whose first voxel centre is that of `hu` and whose last does not pass its last.

    hu : (I,R,C) int16, a NumPy or a CuPy array; the result is of the same kind
    """
    xp, sparse = _world(hu)
    slices, rows, columns = (
        _weights(n, old, new) for n, old, new in zip(hu.shape, spacing_irc_mm, new_spacing_irc_mm, strict=True)
    )
    down, across = (sparse.csr_matrix(xp.asarray(w)) for w in (rows, columns))
    out = xp.empty([len(w) for w in (slices, rows, columns)], dtype=xp.int16)
    in_plane: dict[int, Any] = {}
    for k, weights in enumerate(slices):
        (used,) = np.nonzero(weights)
        for done in [i for i in in_plane if i < used[0]]:
            del in_plane[done]
        for i in used.tolist():
            if i not in in_plane:
                in_plane[i] = (across @ (down @ hu[i].astype(xp.float32)).T).T
        mixed = sum(in_plane[i] * weights[i] for i in used.tolist())
        out[k] = xp.rint(mixed)
    return out  # type: ignore[no-any-return]


def _weights(n: int, old: float, new: float) -> npt.NDArray[np.float32]:
    """(outputs, n): the share of each of n input voxels in each output voxel along one axis."""
    at = np.arange(int(np.floor((n - 1) * old / new + TIE)) + 1) * (new / old)
    share = np.maximum(1 - np.abs(np.arange(n) - at[:, None]) / max(1.0, new / old), 0)
    share[share < TIE] = 0
    return np.asarray(share / share.sum(axis=1, keepdims=True), dtype=np.float32)


def _world(array: Any) -> tuple[Any, Any]:
    """The array module and the sparse module that an array belongs to."""
    if isinstance(array, np.ndarray):
        return np, import_module("scipy.sparse")
    return import_module("cupy"), import_module("cupyx.scipy.sparse")
