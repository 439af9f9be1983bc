"""Trilinear resampling of int16 HU to another spacing along the same axes.

The grids are parallel, so the three interpolations separate: between slices, then rows, then columns, one output slice at a
time. Each output voxel costs seven multiplications, and no float copy of the volume is ever held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.volume import Triple


def resample(hu: npt.NDArray[np.int16], spacing_irc_mm: Triple, new_spacing_irc_mm: Triple) -> npt.NDArray[np.int16]:
    """HU on a grid of the new spacing whose first voxel centre is that of `hu` and whose last does not pass its last."""
    axes = [_taps(n, old, new) for n, old, new in zip(hu.shape, spacing_irc_mm, new_spacing_irc_mm, strict=True)]
    (i0, fi), (r0, fr), (c0, fc) = axes
    out = np.empty([len(f) for _, f in axes], dtype=np.int16)
    r1, c1 = np.minimum(r0 + 1, hu.shape[1] - 1), np.minimum(c0 + 1, hu.shape[2] - 1)
    in_plane: dict[int, npt.NDArray[np.float32]] = {}

    def plane(i: int) -> npt.NDArray[np.float32]:
        if i not in in_plane:
            rows = hu[i].astype(np.float32)
            rows = rows[r0] + (rows[r1] - rows[r0]) * fr[:, None]
            in_plane[i] = rows[:, c0] + (rows[:, c1] - rows[:, c0]) * fc
        return in_plane[i]

    for k, (i, f) in enumerate(zip(i0.tolist(), fi.tolist(), strict=True)):
        for done in [old for old in in_plane if old < i]:
            del in_plane[done]
        mixed = plane(i) if f == 0 else plane(i) + (plane(i + 1) - plane(i)) * np.float32(f)
        np.rint(mixed, out=mixed)
        out[k] = mixed
    return out


def _taps(n: int, old: float, new: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Lower neighbour and distance from it, in voxels, of each new voxel along one axis."""
    at = np.arange(int(np.floor((n - 1) * old / new + 1e-6)) + 1) * (new / old)
    lower = np.minimum(np.floor(at + 1e-9).astype(np.int64), n - 1)
    return lower, np.maximum(at - lower, 0).astype(np.float32)
