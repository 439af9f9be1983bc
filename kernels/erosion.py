"""Binary erosion by the cross of six neighbours, on the foreground alone.

SciPy's `binary_erosion(mask)` walks the whole volume; here each voxel of the mask looks up its six neighbours. The mask that
they are looked up in is one byte a voxel, of which the system hands out only the pages that the foreground touches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.volume import Shape


def erode(voxels: npt.NDArray[np.int64], shape: Shape) -> npt.NDArray[np.int64]:
    """The voxels whose six face neighbours are all in the mask; what lies outside the volume counts as background.

    voxels : (n,) flat indices into an array of `shape`, ascending, without doubles
    """
    slices, rows, columns = shape
    i, rest = np.divmod(voxels, rows * columns)
    r, c = np.divmod(rest, columns)
    inner = (i > 0) & (i < slices - 1) & (r > 0) & (r < rows - 1) & (c > 0) & (c < columns - 1)
    kept = voxels[inner]
    mask = np.zeros(slices * rows * columns, bool)
    mask[voxels] = True
    for step in (1, columns, rows * columns):
        for sign in (-1, 1):
            kept = kept[mask[kept + sign * step]]
    return kept
