"""Label mask and probability map as volumes in the scan's own geometry: every voxel lies where the input's voxel lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan import files
from lungscan.images import write_image
from lungscan.stages.outline import Examined, NoduleMask, nodule_masks
from lungscan.stages.segment import Heatmap
from lungscan.volume import Grid

Labels = npt.NDArray[np.uint16]
Probabilities = npt.NDArray[np.float32]

_STEPS = np.float32(4096)


def write_mask(examined: Examined, folder: Path, suffix: str) -> list[Path]:
    """`nodules` and the suffix: 0 outside, a nodule's id inside."""
    path = folder / f"nodules{suffix}"
    grid = examined.volume.grid
    _write(label_mask(nodule_masks(examined), grid), grid, path)
    return [path]


def write_probability(examined: Examined, folder: Path, suffix: str) -> list[Path]:
    """`probability` and the suffix: the segmentation's heatmap, 0 where it did not look."""
    path = folder / f"probability{suffix}"
    grid = examined.volume.grid
    _write(probability_map(examined.heatmap, grid), grid, path)
    return [path]


def label_mask(masks: Iterable[NoduleMask], grid: Grid) -> Labels:
    """(I,R,C): where two outlines meet, the nodule that stands first in the report has the voxel."""
    out = np.zeros(grid.shape, np.uint16)
    for nodule in masks:
        part = out[tuple(slice(low, high) for low, high in nodule.box_irc)]
        part[nodule.mask & (part == 0)] = nodule.id
    return out


def probability_map(heatmap: Heatmap, grid: Grid) -> Probabilities:
    """(I,R,C): the heatmap on another grid, linear between its voxels, to 1/4096, so that files compress."""
    origin, *steps = heatmap.grid.irc(grid.xyz(np.vstack([np.zeros(3), np.eye(3)])))
    out = np.empty(grid.shape, np.float32)
    matrix = np.stack([step - origin for step in steps], axis=1)
    ndimage.affine_transform(heatmap.values, matrix, origin, output=out, order=1, mode="grid-constant", cval=0.0)
    return np.asarray(np.rint(out * _STEPS) / _STEPS)


def _write(values: npt.NDArray[Any], grid: Grid, path: Path) -> None:
    with files.workshop(path.parent) as bench:
        made = bench / path.name
        write_image(values, grid, made)
        files.move(made, path)
