"""Findings → the label map of the training cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.training.cache import IGNORED, MOST_NODULES
from lungscan.training.job import Finding, Findings
from lungscan.training.masks import Mask, agreed_part, carried, rule_mask
from lungscan.volume import Box, Grid, Volume

Labels = npt.NDArray[np.uint8]
AGREED = 0.5
"""Share of a nodule's readers who must have drawn a voxel."""


def label_map(volume: Volume, scan_grid: Grid, findings: Findings) -> Labels:
    """(I,R,C) uint8 on the volume's grid: 0, the number of the nodule from 1, IGNORED.

    A nodule with contours is what half of its readers drew, taken on the scan's own grid and carried over; another one is
    what `rule_mask` finds. Where nodules overlap the smaller one keeps its voxels. What is ignored never covers a nodule.
    Raises InputRefused for more than MOST_NODULES nodules and for one outside the scan.
    """
    if len(findings.nodules) > MOST_NODULES:
        raise InputRefused(f"{volume.source.path} has {len(findings.nodules)} nodules; a cache holds {MOST_NODULES} a scan.")
    label = np.zeros(volume.grid.shape, np.uint8)
    for finding in findings.ignored:
        box, mask = _ignored(finding, volume.grid, scan_grid)
        label[_slices(box)][mask] = IGNORED
    for k in sorted(range(len(findings.nodules)), key=lambda k: -findings.nodules[k].diameter_mm):
        box, mask = _nodule(findings.nodules[k], volume, scan_grid)
        label[_slices(box)][mask] = k + 1
    return label


def _nodule(finding: Finding, volume: Volume, scan_grid: Grid) -> tuple[Box, Mask]:
    if not finding.readings:
        return rule_mask(volume.hu, volume.grid, finding.centre_xyz_mm, finding.diameter_mm)
    box, share = _share(finding, volume.grid, scan_grid)
    mask = share >= min(AGREED, float(share.max()))  # half of the readers may agree on no voxel: then where most do
    return box, mask & (share > 0)


def _ignored(finding: Finding, grid: Grid, scan_grid: Grid) -> tuple[Box, Mask]:
    """All that a reader drew, or the ball of the diameter."""
    if finding.readings:
        box, share = _share(finding, grid, scan_grid)
        return box, share > 0
    centre = grid.irc(finding.centre_xyz_mm)
    reach = np.ceil(finding.diameter_mm / 2 / np.asarray(grid.spacing_irc_mm))
    low = np.clip(np.floor(centre - reach), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, 0, grid.shape).astype(int)
    points = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    i, r, c = ((int(a), int(max(a, b))) for a, b in zip(low, high, strict=True))
    ball = np.linalg.norm((points - centre) * grid.spacing_irc_mm, axis=-1) <= finding.diameter_mm / 2
    return (i, r, c), ball


def _share(finding: Finding, grid: Grid, scan_grid: Grid) -> tuple[Box, npt.NDArray[np.float32]]:
    box, share = agreed_part(scan_grid, finding.readings)
    return carried(share, scan_grid.part(box), grid)


def _slices(box: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    return tuple(slice(*side) for side in box)
