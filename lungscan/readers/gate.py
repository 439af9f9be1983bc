"""What every volume must show before it counts as a chest CT in Hounsfield units, whatever its format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.volume import AIR_HU, Notice, Volume

SLICES = 16
FIELD_MM = 200.0
LENGTH_MM = 80.0
PIXEL_MM = (0.1, 1.5)
SLICE_MM = (0.1, 10.0)
AIR_SHARE = 0.01
"""Least share of voxels below -700 HU: a chest holds air, inside and around."""

METAL_HU = 4000
METAL_SHARE = 0.01
"""Dense metal reaches further, but in a few voxels alone."""

DISTINCT = 50
"""A CT's noise gives hundreds of different values; a label map or a thresholded volume gives few."""

HIGHEST_HU = 32767


def gated(volume: Volume) -> Volume:
    """The volume, its HU floored at -1024. Raises InputRefused when it cannot be a chest CT in HU.

    The bounds apply to the volume in canonical order, so that sagittal or coronal layouts are judged alike.
    """
    name = volume.source.path
    grid = volume.canonical().grid
    (d_i, d_r, d_c), (n_i, n_r, n_c) = grid.spacing_irc_mm, grid.shape
    if n_i < SLICES or n_i * d_i < LENGTH_MM:
        raise InputRefused(f"{name} holds {n_i} slices over {n_i * d_i:.0f} mm, too few for a chest (at least {SLICES}).")
    if not all(PIXEL_MM[0] <= d <= PIXEL_MM[1] for d in (d_r, d_c)) or not SLICE_MM[0] <= d_i <= SLICE_MM[1]:
        raise InputRefused(f"{name} has voxels of {d_i:g} x {d_r:g} x {d_c:g} mm, which no chest CT has.")
    if min(n_r * d_r, n_c * d_c) < FIELD_MM:
        raise InputRefused(f"{name} shows {n_r * d_r:.0f} x {n_c * d_c:.0f} mm, a crop and not a whole chest.")
    sample = volume.hu[:: max(1, volume.hu.shape[0] // 32), ::4, ::4]
    if np.count_nonzero(sample < -700) < AIR_SHARE * sample.size:
        raise InputRefused(f"{name} holds hardly a voxel near -1000, the HU of air; its values are not HU.")
    if np.count_nonzero(sample > -300) < AIR_SHARE * sample.size:
        raise InputRefused(f"{name} holds hardly a voxel of tissue; its values are not HU.")
    if np.count_nonzero(np.bincount(sample.view(np.uint16).ravel(), minlength=1)) <= DISTINCT:
        raise InputRefused(f"{name} holds no more than {DISTINCT} different values; it is a mask or a rendering, not a CT.")
    if np.count_nonzero(sample > METAL_HU) > METAL_SHARE * sample.size:
        raise InputRefused(f"{name} holds too many values over {METAL_HU} HU; its bytes may be swapped.")
    if volume.hu.min() < AIR_HU:
        floored = np.maximum(volume.hu, np.int16(AIR_HU))
        notice = Notice("padding", f"Values below {AIR_HU} HU, the scanner's padding, are read as {AIR_HU}.")
        return replace(volume, hu=floored, notices=(*volume.notices, notice))
    return volume


def as_hu(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.int16]:
    """Rescaled values of any type as int16 HU, rounded once. Raises InputRefused for NaN and for what does not fit."""
    numbers: Any = values
    if numbers.dtype.kind == "f":
        if not np.isfinite(numbers).all():
            raise InputRefused(f"{name} holds values that are not numbers (NaN or infinite).")
        numbers = np.rint(numbers)
    if numbers.size and numbers.max() > HIGHEST_HU:
        raise InputRefused(f"{name} holds values up to {numbers.max():g}; HU end long before.")
    return np.asarray(np.maximum(numbers, AIR_HU).astype(np.int16))
