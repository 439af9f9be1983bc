"""A tilted gantry: slices that lie ever further aside of one another → a grid with right angles, by a shear.

Every voxel of the grid takes the HU of its true place. Slices keep their planes, so one is only moved within its own: along
its rows and along its columns, linearly between two neighbouring pixels. What no slice covers is air.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lungscan.volume import AIR_HU, Grid, triple

Plane = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Shear:
    """How the slices of a grid are moved.

    grid     : wide enough for all of them
    drift_rc : rows and columns by which each slice lies aside of the one before
    first_rc : whole rows and columns of the grid ahead of the first slice
    """

    grid: Grid
    drift_rc: tuple[float, float]
    first_rc: tuple[int, int]

    @classmethod
    def of(cls, grid: Grid, drift_rc: tuple[float, float]) -> Shear:
        """From the grid that the first slice's pixels would span."""
        ends = [drift * (grid.shape[0] - 1) for drift in drift_rc]
        before = [int(np.ceil(max(0.0, -end))) for end in ends]
        after = [int(np.ceil(max(0.0, end))) for end in ends]
        rows, columns = (n + a + b for n, a, b in zip(grid.shape[1:], before, after, strict=True))
        origin = triple(grid.xyz((0, -before[0], -before[1])))
        wide = replace(grid, shape=(grid.shape[0], rows, columns), origin_xyz_mm=origin)
        return cls(wide, drift_rc, (before[0], before[1]))

    def put(self, k: int, plane: Plane, out: Plane) -> None:
        """Slice k, (R,C) as it was read, to its place in `out`, (R,C) of the grid."""
        values = np.full(out.shape, AIR_HU, np.float32)
        at = [first + drift * k for first, drift in zip(self.first_rc, self.drift_rc, strict=True)]
        low = [int(np.floor(a)) for a in at]
        values[low[0] : low[0] + plane.shape[0], low[1] : low[1] + plane.shape[1]] = plane
        for axis in range(2):
            share = np.float32(at[axis] - low[axis])
            if share:
                before = np.roll(values, 1, axis)
                before[(slice(None),) * axis + (0,)] = AIR_HU
                values += share * (before - values)
        np.rint(values, out=values)
        out[...] = values
