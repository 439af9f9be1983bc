"""Morphology of 3D masks by shifted ORs and ANDs: on coarse grids several times faster than distance maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.volume import Triple

Mask = npt.NDArray[np.bool_]


def dilate(mask: Mask, radius_mm: float, spacing_irc_mm: Triple) -> Mask:
    """Dilation of an (I,R,C) mask by a ball: runs along columns, ORed for each line of the ball. The shape stays."""
    s_i, s_r, s_c = spacing_irc_mm
    n_i, n_r = int(radius_mm / s_i), int(radius_mm / s_r)
    runs = [mask]
    for k in range(1, int(radius_mm / s_c) + 1):
        run = runs[-1].copy()
        run[:, :, k:] |= mask[:, :, :-k]
        run[:, :, :-k] |= mask[:, :, k:]
        runs.append(run)
    out = np.zeros_like(mask)
    for i in range(-n_i, n_i + 1):
        for r in range(-n_r, n_r + 1):
            left = radius_mm**2 - (i * s_i) ** 2 - (r * s_r) ** 2
            if left >= 0:
                to, at = _shifted(i, mask.shape[0]), _shifted(r, mask.shape[1])
                out[to[0], at[0]] |= runs[int(left**0.5 / s_c)][to[1], at[1]]
    return out


def close(mask: Mask, radius_mm: float, spacing_irc_mm: Triple) -> Mask:
    """Closing by a ball: what no ball beside the mask can reach is filled. Around the array lies background."""
    room = [int(np.ceil(radius_mm / s)) for s in spacing_irc_mm]
    grown = dilate(np.pad(mask, [(n, n) for n in room]), radius_mm, spacing_irc_mm)
    shrunk = ~dilate(~grown, radius_mm, spacing_irc_mm)
    return shrunk[tuple(slice(n, n + size) for n, size in zip(room, mask.shape, strict=True))]


def peeled(mask: Mask, neighbours: Mask) -> Mask:
    """The mask without the voxels that have a neighbour outside it; nothing is peeled at the volume's own faces."""
    core = mask.copy()
    for i, r, c in np.argwhere(neighbours) - 1:
        (to_i, at_i), (to_r, at_r), (to_c, at_c) = (_shifted(by, n) for by, n in zip((i, r, c), mask.shape, strict=True))
        core[to_i, to_r, to_c] &= mask[at_i, at_r, at_c]
    return core


def _shifted(by: int, size: int) -> tuple[slice, slice]:
    """Where a shifted axis lands, and what of it lands there."""
    return slice(max(by, 0), max(size + min(by, 0), 0)), slice(max(-by, 0), max(size - max(by, 0), 0))
