"""Connected components of a sparse 3-D mask, on its foreground alone.

A nodule mask holds a few thousandths of a scan's voxels, so nothing here ever walks the scan: the mask comes as the sorted
flat indices of its voxels. These are cut into runs (consecutive columns of one row); two runs belong together when they lie
in neighbouring rows and their columns overlap, which two binary searches tell for all runs at once; the graph of runs is
then split into its components. With n voxels in m runs the work is O(n + m log m), whatever the size of the scan.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lungscan.volume import Shape

Flat = npt.NDArray[np.int64]

# Rows that touch a row before them in raster order, as (slice step, row step), and by how many columns two runs there may
# miss each other and still touch.
_TOUCHING: dict[int, tuple[tuple[int, int, int], ...]] = {
    6: ((0, 1, 0), (1, 0, 0)),
    18: ((0, 1, 1), (1, 0, 1), (1, 1, 0), (1, -1, 0)),
    26: ((0, 1, 1), (1, 0, 1), (1, 1, 1), (1, -1, 1)),
}


def components(voxels: Flat, shape: Shape, connectivity: int) -> tuple[npt.NDArray[np.int32], int]:
    """Component of each voxel, counted from 0 in raster order of each component's first voxel, and their number.

    voxels       : (n,) flat indices into an array of `shape`, ascending, without doubles
    connectivity : 6 (faces), 18 (faces and edges) or 26 (faces, edges and corners)
    """
    if len(voxels) == 0:
        return np.empty(0, np.int32), 0
    # One column and two rows of nothing around the volume, so that no run wraps into the next row or slice.
    i, r, c = np.unravel_index(voxels, shape)
    pitch_row = shape[2] + 2
    pitch_slice = (shape[1] + 2) * pitch_row
    place = i * pitch_slice + (r + 1) * pitch_row + c
    first = np.flatnonzero(np.diff(place, prepend=place[0] - 2) != 1)
    start = place[first]
    stop = place[np.append(first[1:], len(place)) - 1] + 1
    pairs = list(_touching_runs(start, stop, pitch_slice, pitch_row, connectivity))
    a = np.concatenate([pair[0] for pair in pairs])
    b = np.concatenate([pair[1] for pair in pairs])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(first), len(first)))
    count, of_run = connected_components(graph.tocsr(), directed=False)
    _, first_run = np.unique(of_run, return_index=True)
    rank = np.empty(count, np.int32)
    rank[np.argsort(first_run)] = np.arange(count, dtype=np.int32)
    return np.repeat(rank[of_run], np.diff(np.append(first, len(place)))), int(count)


def _touching_runs(
    start: Flat, stop: Flat, pitch_slice: int, pitch_row: int, connectivity: int
) -> Iterator[tuple[Flat, Flat]]:
    """Pairs of runs that touch, the earlier one first."""
    for slices, rows, slack in _TOUCHING[connectivity]:
        step = slices * pitch_slice + rows * pitch_row
        low = np.searchsorted(stop, start + step - slack, side="right")
        high = np.searchsorted(start, stop + step + slack, side="left")
        touched = np.maximum(high - low, 0)
        a = np.repeat(np.arange(len(start)), touched)
        yield a, np.arange(len(a)) - np.repeat(np.cumsum(touched) - touched, touched) + np.repeat(low, touched)
