"""Candidates as columns, where the scan is: on the host, or on a GPU until one copy brings them all back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lungscan.errors import EngineUnavailable
from lungscan.findings import Candidate
from lungscan.kernels.world import on_host, world
from lungscan.volume import Flat, Grid, Triple


@dataclass(frozen=True)
class Candidates:
    """One row a candidate. On the host there are exactly `count` rows; on a GPU there is a fixed number of them, so that
    nobody need wait for the count, and those from `count` on mean nothing.

    grid        : of the indices
    count       : number of candidates, an int or a 0-d array
    lost        : of components and their voxels, how many had no room on a GPU
    centre_irc  : (n, 3) float64, weighted by density
    low, high   : (n, 3) int64, corners of the box, high excluded
    voxels      : (n,) int64
    hu_mean     : (n,) float64
    hu_max      : (n,) int64
    peak        : (n,) float32, highest probability inside
    row         : (n,) int64, the name by which `core_row` knows the candidate
    p_nodule    : (n,) float64, calibrated; NaN before it is asked
    p_malignant : (n,) float64, calibrated; NaN where it is not asked
    core        : (m,) int64 flat indices into the heatmap of the voxels that candidates were measured on
    core_row    : (m,) int64 the row of each, -1 where there is none
    """

    grid: Grid
    count: Any
    lost: Any
    centre_irc: Any
    low: Any
    high: Any
    voxels: Any
    hu_mean: Any
    hu_max: Any
    peak: Any
    row: Any
    p_nodule: Any
    p_malignant: Any
    core: Any
    core_row: Any

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """The candidates of several levels of one heatmap, those of the first level first."""
        if len(parts) == 1:
            return parts[0]
        xp = world(parts[0].core)
        columns = {name: xp.concatenate([getattr(part, name) for part in parts]) for name in (*_COLUMNS, *_CORES)}
        rows = sum(len(part.row) for part in parts)
        whole = replace(parts[0], count=rows, lost=sum(part.lost for part in parts), **columns)
        return whole.kept(xp.concatenate([xp.arange(len(part.row)) < part.count for part in parts]))

    @property
    def diameter_mm(self) -> Any:
        """(n,) of the sphere of a candidate's volume."""
        return np.cbrt(6 / math.pi * self.grid.voxel_mm3 * self.voxels)

    def rows(self) -> list[Candidate]:
        """The candidates, by one copy to the host. Raises EngineUnavailable when a GPU had no room for all."""
        xp = world(self.centre_irc)
        columns = (self.voxels, self.hu_mean, self.hu_max, self.peak, self.p_nodule, self.p_malignant)
        table = xp.concatenate([self.centre_irc, self.low, self.high, xp.stack(columns, axis=1)], axis=1)
        counts = xp.zeros((1, table.shape[1]))
        counts[0, 0], counts[0, 1] = self.count, self.lost
        *values, last = on_host(xp.concatenate([table, counts])).tolist()
        total, lost = int(last[0]), int(last[1])
        if lost:
            raise EngineUnavailable(
                "the GPU has no room for so many candidates; raise --threshold-segmentation, or use --device cpu."
            )
        centres = np.array([row[:3] for row in values[:total]]).reshape(-1, 3)
        places = self.grid.xyz(centres).tolist()
        return [self._candidate(row, xyz) for row, xyz in zip(values[:total], places, strict=True)]

    def _candidate(self, row: Sequence[float], xyz: Sequence[float]) -> Candidate:
        voxels, hu_mean, hu_max, peak, p_nodule, p_malignant = row[9:]
        volume_mm3 = voxels * self.grid.voxel_mm3
        (i0, r0, c0), (i1, r1, c1) = (map(int, row[3:6]), map(int, row[6:9]))
        return Candidate(
            centre_irc=(row[0], row[1], row[2]),
            centre_xyz_mm=(xyz[0], xyz[1], xyz[2]),
            voxels=int(voxels),
            volume_mm3=volume_mm3,
            diameter_mm=(6 * volume_mm3 / math.pi) ** (1 / 3),
            box_irc=((i0, i1), (r0, r1), (c0, c1)),
            hu_mean=hu_mean,
            hu_max=int(hu_max),
            p_segmentation=peak,
            p_nodule=None if math.isnan(p_nodule) else p_nodule,
            p_malignant=None if math.isnan(p_malignant) else p_malignant,
        )

    def cores(self) -> dict[Triple, Flat]:
        """The voxels of each candidate by its centre in patient mm, ascending flat indices into the heatmap."""
        core, owner, row = on_host(self.core), on_host(self.core_row), on_host(self.row)
        order = np.argsort(owner, kind="stable")
        core, owner = core[order], owner[order]
        return {
            c.centre_xyz_mm: core[np.searchsorted(owner, name) : np.searchsorted(owner, name, side="right")]
            for c, name in zip(self.rows(), row.tolist(), strict=False)
        }

    def kept(self, which: Any) -> Candidates:
        """The rows that a mask keeps, in their order. On a GPU they move to the front, and nobody waits for their number."""
        host = isinstance(which, np.ndarray)
        order = np.flatnonzero(which) if host else world(which).argsort(~which, kind="stable")
        columns = {name: getattr(self, name)[order] for name in _COLUMNS}
        return replace(self, count=len(order) if host else which.sum(), **columns)

    def some(self, number: int) -> Candidates:
        """The first rows, on the host."""
        return self.kept(np.arange(len(self.voxels)) < number)


_COLUMNS = ("centre_irc", "low", "high", "voxels", "hu_mean", "hu_max", "peak", "row", "p_nodule", "p_malignant")
_CORES = ("core", "core_row")
