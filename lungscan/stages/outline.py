"""Nodules → their outlines on the file's own grid: what every picture, mask and DICOM object draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from lungscan.findings import Nodule, Report
from lungscan.stages.segment import Heatmap
from lungscan.volume import Box, Flat, Triple, Volume

Cores = Mapping[Triple, Flat]
"""The voxels of each candidate, by its centre in patient mm: ascending flat indices into the heatmap."""


AIR_HU, DENSE_HU = -1000, 400
"""From no density at all to where more counts no more: contrast and bone."""

TIES = 4
"""Decimals by which two shares are told apart: what rounding costs must not move an outline."""


@dataclass(frozen=True)
class NoduleMask:
    """The voxels of a nodule.

    mask : (I,R,C) bool, the part `box_irc` of the file's own grid; it holds at least one voxel
    """

    id: int
    box_irc: Box
    mask: npt.NDArray[np.bool_]

    def centroid_irc(self) -> npt.NDArray[np.float64]:
        """Mean index (I,R,C) of the voxels, on the file's grid."""
        return np.asarray(np.argwhere(self.mask).mean(axis=0) + [low for low, _ in self.box_irc])


class Examined(Protocol):
    """A scan with its report and what the outlines are made of: `lungscan.pipeline.Examination`."""

    @property
    def volume(self) -> Volume: ...
    @property
    def heatmap(self) -> Heatmap: ...
    @property
    def cores(self) -> Cores: ...
    @property
    def report(self) -> Report: ...


def nodule_masks(examined: Examined) -> tuple[NoduleMask, ...]:
    """The outline of every nodule of the report, in its order, on the grid of the file."""
    nodules: Sequence[Nodule] = examined.report.nodules
    return tuple(_outline(n, examined.cores[n.centre_xyz_mm], examined.heatmap, examined.volume) for n in nodules)


def _outline(nodule: Nodule, core: Flat, heatmap: Heatmap, volume: Volume) -> NoduleMask:
    """The core's voxels on the finer or coarser grid of the file: of their linear interpolation times density the highest
    part that has the core's volume, so that tissue comes before the air beside it and the middle stays where density has it.
    A core that no voxel of the file touches keeps the one at its centre.
    """
    file_grid = volume.grid
    index = np.stack(np.unravel_index(core, heatmap.values.shape), axis=1)
    corner = index.min(axis=0) - 1
    inside = np.zeros(index.max(axis=0) - corner + 2, np.float32)
    inside[tuple((index - corner).T)] = 1

    box = _padded(nodule.box_irc, file_grid.shape)
    at = np.stack(np.meshgrid(*(np.arange(low, high) for low, high in box), indexing="ij"), axis=-1)
    on_heatmap = heatmap.grid.irc(file_grid.xyz(at)) - corner
    share = np.round(map_coordinates(inside, np.moveaxis(on_heatmap, -1, 0), order=1, mode="constant"), TIES)
    share *= np.clip(volume.hu[tuple(slice(low, high) for low, high in box)], AIR_HU, DENSE_HU) - (AIR_HU - 1)
    wanted = min(max(round(len(core) * heatmap.grid.voxel_mm3 / file_grid.voxel_mm3), 1), share.size)
    level = np.partition(share, -wanted, axis=None)[-wanted]
    mask = min(share >= level, share > level, key=lambda m: abs(int(m.sum()) - wanted)) & (share > 0)
    if not mask.any():
        centre = np.rint(nodule.centre_irc).astype(int) - [low for low, _ in box]
        mask[tuple(np.clip(centre, 0, np.array(mask.shape) - 1))] = True
    return NoduleMask(nodule.id, box, mask)


def _padded(box: Box, shape: tuple[int, int, int]) -> Box:
    """One voxel more to every side, within the grid."""
    (a, b, c) = ((max(low - 1, 0), min(high + 1, n)) for (low, high), n in zip(box, shape, strict=True))
    return a, b, c
