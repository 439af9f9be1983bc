"""The kernels of a scan as works, on arrays of either world, each judged by plain NumPy or SciPy on the same input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan import traffic
from lungscan.benchmark.work import Work
from lungscan.kernels.component_table import component_table
from lungscan.kernels.crop import crop_starts, crops
from lungscan.kernels.mask import mask
from lungscan.kernels.resample import resample
from lungscan.kernels.stack import stacks
from lungscan.kernels.window import windowed
from lungscan.kernels.world import input_type, on_host
from lungscan.volume import Box, Shape

LEVEL = 0.5
CROP: Shape = (32, 48, 48)
CROPS = 64
CONTEXT = 3
CELL = 16

Hu = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Inputs:
    """What the kernels are timed on, where they run.

    hu          : (I,R,C) int16
    probability : (I,R,C) float32, blobs over LEVEL
    centres     : (n, 3) float64
    """

    hu: Any
    probability: Any
    centres: Any


def inputs(hu: Hu, xp: Any = np, density: float = 0.01, crops: int = CROPS) -> Inputs:
    """HU of at least a crop's size, with blobs in a share `density` of the voxels."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), 1.6)
    over = smooth - np.quantile(smooth, 1 - density)
    half = np.asarray(CROP) // 2
    centres = rng.integers(half, np.asarray(hu.shape) - half + 1, (crops, 3)).astype(np.float64)
    probability = np.clip(LEVEL + 3 * over, 0, 1).astype(np.float32)
    return Inputs(*(xp.asarray(array) for array in (np.ascontiguousarray(hu), probability, centres)))


def kernels(given: Inputs, window_hu: tuple[int, int], precision: str) -> Iterator[Work]:
    """Every kernel that a scan meets, for an engine of this precision."""
    hu, p, centres = (on_host(array) for array in (given.hu, given.probability, given.centres))
    dtype = np.dtype(input_type(given.hu, precision))
    clipped = np.clip(hu, *window_hu)
    yield Work(
        "window",
        lambda: windowed(given.hu, window_hu, dtype),
        lambda out: bool((on_host(out) == clipped).all()),
        hu.size * (2 + dtype.itemsize),
    )
    box = part(hu.shape)
    copies = 1 if isinstance(given.hu, np.ndarray) else 2 * CONTEXT + 1  # a view on a CPU
    yield Work(
        "stack",
        lambda: stacks(given.hu, box, window_hu, CONTEXT, CELL, dtype),
        lambda out: bool((on_host(out) == stacked(clipped, box)).all()),
        math.prod(high - low for low, high in box) * (2 + copies * dtype.itemsize),
    )
    yield Work(
        "mask",
        lambda: mask(given.probability, LEVEL),
        lambda out: on_host(out).tobytes()[: -(-p.size // 8)] == np.packbits(p > LEVEL, bitorder="little").tobytes(),
        4 * p.size + p.size // 8,
    )
    (_, few), *_ = box
    yield Work(
        "resample",
        lambda: resample(given.hu[:few], (2.0, 2.0, 2.0), (1.0, 1.0, 1.0)),
        lambda out: bool(np.abs(on_host(out) - between(hu[:few])).max() <= 1),
        traffic.resampling((few, *hu.shape[1:]), finer((few, *hu.shape[1:]))),
    )
    yield Work(
        "crop",
        lambda: crops(given.hu, given.centres, CROP, (1,), "shift"),
        lambda out: bool((on_host(out)[:, 0] == cut(hu, centres)).all()),
        4 * len(centres) * math.prod(CROP),
    )
    yield components(given, window_hu)


def components(given: Inputs, window_hu: tuple[int, int], *, rows: int = 1 << 16, voxels: int = 1 << 22) -> Work:
    """The table of components, 26-connected, with room for so many on a GPU."""
    p = on_host(given.probability)

    def right(table: Any) -> bool:
        labels, count = ndimage.label(p > LEVEL, np.ones((3, 3, 3)))
        sizes = on_host(table.size)[:count]
        return int(table.count) == count and bool((sizes == np.bincount(labels.ravel())[1:]).all())

    return Work(
        "component table",
        lambda: component_table(
            given.probability, LEVEL, given.hu, window_hu, 26, outline=0.5, max_components=rows, max_voxels=voxels
        ),
        right,
        traffic.grouping(p.shape),
    )


def part(shape: Shape) -> Box:
    """The first quarter of the slices, on whole cells of the pooling grid."""
    slices, rows, columns = shape
    return (0, max(slices // 4, 1)), (0, rows // CELL * CELL), (0, columns // CELL * CELL)


def stacked(hu: Hu, box: Box) -> Hu:
    """Every slice of a box between its neighbours, by an index for each."""
    (first, last), rows, columns = box
    near = np.clip(np.arange(first, last)[:, None] + np.arange(-CONTEXT, CONTEXT + 1), 0, len(hu) - 1)
    return hu[near, slice(*rows), slice(*columns)]


def finer(shape: Shape) -> Shape:
    """Of a grid with half the spacing and the same first and last voxels."""
    i, r, c = (2 * n - 1 for n in shape)
    return i, r, c


def between(hu: Hu) -> npt.NDArray[np.float64]:
    """Trilinear interpolation on that grid, by SciPy."""
    values = hu.astype(np.float64)
    return np.asarray(ndimage.affine_transform(values, [0.5] * 3, output_shape=finer(hu.shape), order=1, mode="nearest"))


def cut(hu: Hu, centres: npt.NDArray[np.float64]) -> Hu:
    """Crops as slices, one after the other, moved inside at the border."""
    starts = np.clip(crop_starts(centres, CROP), 0, np.asarray(hu.shape) - CROP)
    return np.stack([hu[tuple(slice(a, a + n) for a, n in zip(start, CROP, strict=True))] for start in starts])
