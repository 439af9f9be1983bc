"""What every volume must show before it counts as a chest CT in Hounsfield units, whatever its format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.readers.room import room
from lungscan.volume import AIR_HU, Grid, Notice, Source, Volume

SLICES = 16
FIELD_MM = 200.0
LENGTH_MM = 80.0
PIXEL_MM = (0.1, 1.5)
SLICE_MM = (0.1, 10.0)
WIDEST_MM, LONGEST_MM = 1000.0, 2500.0
"""A scanner's bore is 700 to 900 mm wide, its table 2 m long."""

AIR_SHARE = 0.01
"""Least share of voxels below -700 HU: a chest holds air, inside and around."""

TISSUE_SHARE = 0.02
"""Least share of voxels from fat to contrast in blood (-200 to 200 HU); five real chest CTs hold 13 % or more."""

METAL_HU = 4000
METAL_SHARE = 0.01
"""Dense metal reaches further, but in a few voxels alone."""

DISTINCT = 50
"""A CT's noise gives hundreds of different values; a label map or a thresholded volume gives few."""

SQUARE = 1.5
SCRAMBLED = 3.0
"""Rows of square pixels differ as much as columns do; read with a wrong row length they differ many times more."""

HIGHEST_HU = 32767


def placed(name: str, grid: Grid) -> None:
    """Raises InputRefused when voxels on this grid cannot be a whole chest or there is no room for them, before any of them
    is decoded.

    The bounds apply to the grid in canonical order, so that sagittal or coronal layouts are judged alike.
    """
    nothing = np.broadcast_to(np.int16(0), grid.shape)
    grid = Volume(nothing, grid, Source(name, "", "")).canonical().grid
    d_i, d_r, d_c = (round(mm, 4) for mm in grid.spacing_irc_mm)  # float32, in which NIfTI has them, knows no 0.1
    n_i, n_r, n_c = grid.shape
    if n_i < SLICES or n_i * d_i < LENGTH_MM:
        raise InputRefused(f"{name} holds {n_i} slices over {n_i * d_i:.0f} mm, too few for a chest (at least {SLICES}).")
    if not all(PIXEL_MM[0] <= d <= PIXEL_MM[1] for d in (d_r, d_c)) or not SLICE_MM[0] <= d_i <= SLICE_MM[1]:
        raise InputRefused(f"{name} has voxels of {d_i:g} x {d_r:g} x {d_c:g} mm, which no chest CT has.")
    if min(n_r * d_r, n_c * d_c) < FIELD_MM:
        raise InputRefused(f"{name} shows {n_r * d_r:.0f} x {n_c * d_c:.0f} mm, a crop and not a whole chest.")
    if max(n_r * d_r, n_c * d_c) > WIDEST_MM or n_i * d_i > LONGEST_MM:
        raise InputRefused(f"{name} spans {n_i * d_i:.0f} x {n_r * d_r:.0f} x {n_c * d_c:.0f} mm, more than a scanner can.")
    room().admits(name, grid)


def gated(volume: Volume) -> Volume:
    """The volume, its HU floored at -1024. Raises InputRefused when it cannot be a chest CT in HU."""
    name = volume.source.path
    placed(name, volume.grid)
    sample = volume.hu[:: max(1, volume.hu.shape[0] // 32), ::4, ::4]
    if np.count_nonzero(sample < -700) < AIR_SHARE * sample.size:
        raise InputRefused(f"{name} holds hardly a voxel near -1000, the HU of air; its values are not HU.")
    if np.count_nonzero((sample > -200) & (sample < 200)) < TISSUE_SHARE * sample.size:
        raise InputRefused(f"{name} holds hardly a voxel of tissue, near 0 HU; its values are not HU.")
    if np.count_nonzero(np.bincount(sample.view(np.uint16).ravel(), minlength=1)) <= DISTINCT:
        raise InputRefused(f"{name} holds no more than {DISTINCT} different values; it is a mask or a rendering, not a CT.")
    if np.count_nonzero(sample > METAL_HU) > METAL_SHARE * sample.size:
        raise InputRefused(f"{name} holds too many values over {METAL_HU} HU; its bytes may be swapped.")
    notices = volume.notices
    if _scrambled(volume):
        notices = (
            *notices,
            Notice("rows", "Rows do not go on from one to the next; the file may give its sizes in a wrong order."),
        )
    if volume.hu.min() < AIR_HU:
        np.maximum(volume.hu, np.int16(AIR_HU), out=volume.hu)  # a reader's own array: no second one is held
        notice = Notice("padding", f"Values below {AIR_HU} HU, the scanner's padding, are read as {AIR_HU}.")
        return replace(volume, notices=(*notices, notice))
    return replace(volume, notices=notices)


def _scrambled(volume: Volume) -> bool:
    """Whether neighbours across rows differ far more than neighbours along them, in a slice whose pixels are square."""
    _, row_mm, column_mm = volume.grid.spacing_irc_mm
    if not 1 / SQUARE < row_mm / column_mm < SQUARE:
        return False
    middle = tuple(slice(n // 4, max(3 * n // 4, n // 4 + 2)) for n in volume.hu.shape)
    some = volume.hu[middle]
    some = some[:: max(1, len(some) // 3)].astype(np.int32)
    across, along = (np.abs(np.diff(some, axis=axis)).mean() for axis in (1, 2))
    return bool(across > SCRAMBLED * along)


def as_hu(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.int16]:
    """Rescaled values of any type as int16 HU, rounded once. Raises InputRefused for NaN and for what does not fit."""
    numbers: Any = values
    if numbers.dtype.kind == "f":
        if not np.isfinite(numbers).all():
            raise InputRefused(f"{name} holds values that are not numbers (NaN or infinite).")
        numbers = np.rint(np.clip(numbers, AIR_HU, HIGHEST_HU + 1))
    if numbers.size and numbers.max() > HIGHEST_HU:
        raise InputRefused(f"{name} holds values over {HIGHEST_HU}; HU end long before.")
    return np.asarray(np.maximum(numbers, AIR_HU).astype(np.int16))
