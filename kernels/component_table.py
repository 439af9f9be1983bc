"""Heatmap → components of its foreground → one row of statistics each: what a candidate is made of.

`component_table` on NumPy arrays is the reference: the foreground as sorted flat indices, its runs joined as a graph, sums
by `bincount`; the scan is walked once, for the threshold. On CuPy arrays it is the same by the kernels of
`component_table.cu`, which tells its versions from plain to fast. Every statistic is an integer or a maximum, so both give
the same bits.

Bytes: 4 a voxel, each probability once (0.11 ms for 512 x 512 x 320 at 3.0 TB/s, computed). CuPy's own label waits for the
host to learn how many components there are; this does not, so a scan can be queued, or captured in a CUDA graph, from end to
end. That is why it is used; its time is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from lungscan.kernels import cuda
from lungscan.kernels.components import components
from lungscan.kernels.erosion import erode as eroded
from lungscan.kernels.moments import moments
from lungscan.kernels.world import world

from lungscan.volume import Flat

Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
WORD_BITS = 32

CHUNK = 8
"""Voxels that one thread sums up, as in the CUDA source."""


@dataclass(frozen=True)
class ComponentTable:
    """One row a component, in raster order of each component's first voxel; indices are (I,R,C) of the heatmap.

    A component is measured on its core: its voxels that reach a share of its peak.

    On a CPU the arrays have as many rows as there are components or core voxels. On a GPU their length is the capacity asked
    for, rows from `count` and core voxels from `core_count` on mean nothing, and the three counts are int32 arrays without
    axes. There, `count` over the rows or `foreground` over the capacity in voxels says that the table is not whole: make it
    again with more room.
    """

    count: int  # components
    foreground: int  # voxels of all components
    first: Flat  # (n,) least flat index
    voxels: Flat  # (n,) of the core
    weight: Flat  # (n,) sum over the core of w = clip(HU, window) - window's low end + 1
    weighted_irc: Flat  # (n, 3) sums over the core of w times index
    low: Ints  # (n, 3) box of the core
    high: Ints  # (n, 3) excluded
    hu_sum: Flat  # (n,) over the core
    hu_max: Ints  # (n,)
    peak: npt.NDArray[np.float32]  # (n,) greatest probability
    touches: Bools  # (n,) whether any of the component's voxels lies in `inside`
    size: Flat  # (n,) voxels of the whole component
    taken: Bools  # (n,) whether any of the component's voxels lies in `taken`
    core_count: int  # voxels of all cores
    core_voxels: Flat  # (m,) flat, ascending
    core_owner: Ints  # (m,) row of each


def component_table(
    probability: Any,
    level: float,
    hu: Any,
    window_hu: tuple[int, int],
    connectivity: int,
    *,
    outline: float,
    inside: Any = None,
    taken: Any = None,
    erode: bool = False,
    max_components: int = 4096,
    max_voxels: int = 1 << 22,
) -> ComponentTable:
    """Table of the components of `probability > level`. All arrays are NumPy's, or all CuPy's: the probability says which.

    probability    : (I,R,C) float32, not negative
    level          : compared in single precision, not negative
    hu             : (I,R,C) int16; may be a view of any strides
    window_hu      : where HU are clipped before they weigh a centre, so that air weighs 1 (see `moments`)
    connectivity   : 6, 18 or 26
    outline        : share of its peak that a component's voxel must reach to be of its core, 0 to 1
    inside         : (I,R,C) bool or uint8, not 0 inside; all voxels are inside without it
    taken          : the same for voxels taken before; none are without it
    erode          : keep only foreground whose six face neighbours are foreground before components are made
    max_components : rows to provide on a GPU
    max_voxels     : foreground voxels to provide for on a GPU, 25 bytes each, besides 3 bits a voxel of the volume, 4 with
                     `erode`; all but the table goes back to the memory pool with the call

    Raises TypeError for arrays of another type or shape, which a kernel would read as if they were right.
    """
    flags = [flag for flag in (inside, taken) if flag is not None]
    if (probability.dtype, hu.dtype) != (np.float32, np.int16) or any(f.dtype not in (np.bool_, np.uint8) for f in flags):
        raise TypeError("a table is made from float32 probabilities, int16 HU, and masks of bool or uint8")
    if any(array.shape != probability.shape for array in (hu, *flags)):
        raise TypeError("probabilities, HU and masks must have one shape")
    make = _reference if world(probability) is np else _on_gpu
    return make(probability, level, hu, window_hu, connectivity, outline, inside, taken, erode, max_components, max_voxels)


def over(values: npt.NDArray[np.float32], level: float) -> Flat:
    """Ascending flat indices of the voxels over a level; no mask of the volume is made."""
    size = values[0].size
    planes = (np.flatnonzero(plane > np.float32(level)) + k * size for k, plane in enumerate(values))
    return np.concatenate(list(planes))


def _reference(
    probability: npt.NDArray[np.float32],
    level: float,
    hu: npt.NDArray[np.int16],
    window_hu: tuple[int, int],
    connectivity: int,
    outline: float,
    inside: npt.NDArray[Any] | None,
    taken: npt.NDArray[Any] | None,
    erode: bool,
    *_capacity: int,
) -> ComponentTable:
    shape = probability.shape
    voxels = over(probability, level)
    if erode:
        voxels = eroded(voxels, shape)
    component, count = components(voxels, shape, connectivity)
    p = probability.ravel()[voxels]
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, component, p)
    in_core = p >= np.float32(outline) * peak[component]
    core, owner = voxels[in_core], component[in_core]
    m = moments(core, owner, count, shape, hu[np.unravel_index(core, shape)], p[in_core], window_hu)

    def any_in(mask: npt.NDArray[Any]) -> Bools:
        found = np.zeros(count, bool)
        found[component[mask.ravel()[voxels] != 0]] = True
        return found

    return ComponentTable(
        count=count,
        foreground=len(voxels),
        first=voxels[np.flatnonzero(np.diff(np.maximum.accumulate(component), prepend=-1))],
        voxels=m.voxels,
        weight=m.weight,
        weighted_irc=m.weighted_irc,
        low=m.low.astype(np.int32),
        high=m.high.astype(np.int32),
        hu_sum=m.hu_sum,
        hu_max=m.hu_max.astype(np.int32),
        peak=peak,
        touches=np.ones(count, bool) if inside is None else any_in(inside),
        size=np.bincount(component, minlength=count),
        taken=np.zeros(count, bool) if taken is None else any_in(taken),
        core_count=len(core),
        core_voxels=core,
        core_owner=owner,
    )


def _on_gpu(
    probability: Any,
    level: float,
    hu: Any,
    window_hu: tuple[int, int],
    connectivity: int,
    outline: float,
    inside: Any,
    taken: Any,
    erode: bool,
    max_components: int,
    max_voxels: int,
) -> ComponentTable:
    xp, run = import_module("cupy"), cuda.kernels("component_table")
    probability = xp.ascontiguousarray(probability)
    shape = [np.int32(n) for n in probability.shape]
    rows = np.int32(max_components)
    table = _rows(xp, max_components)
    roots, core = (xp.empty(-(-max_voxels // WORD_BITS), xp.uint32) for _ in range(2))
    run("clear", max(3 * max_components, roots.size), rows, *table.values(), np.int32(roots.size), roots, core)

    mask = _mask(xp, run, probability, level, shape, erode)
    ids = _ids(xp, run, mask, max_voxels)
    voxel, owner = _united(xp, run, "runs", mask, ids, shape, connectivity)
    run("flatten", max_voxels, *ids, owner, roots)

    roots_upto = _populations_upto(xp, run, roots)
    flags = [cuda.NULL if flag is None else xp.ascontiguousarray(flag) for flag in (inside, taken)]
    whole = [table[name] for name in ("first", "size", "peak", "touches", "taken")]
    run("whole", max_voxels // CHUNK, *ids, voxel, owner, roots, roots_upto, probability, *flags, rows, *whole)

    run("core", max_voxels, *ids, voxel, owner, probability, np.float32(outline), rows, table["peak"], core)
    core_upto = _populations_upto(xp, run, core)
    core_voxels, core_owner = xp.empty(max_voxels, xp.int64), xp.empty(max_voxels, xp.int32)
    steps = [np.int64(step // hu.itemsize) for step in hu.strides]
    window = [np.int32(end) for end in window_hu]
    sums = [table[name] for name in ("voxels", "weight", "weighted_irc", "low", "high", "hu_sum", "hu_max")]
    measured = (hu, *steps, *window, *shape[1:], core_voxels, core_owner, *sums)
    run("measure", max_voxels // CHUNK, *ids, voxel, owner, core, core_upto, *measured)
    return ComponentTable(
        count=_last(roots_upto),
        foreground=_last(ids[0]),
        core_count=_last(core_upto),
        core_voxels=core_voxels,
        core_owner=core_owner,
        **table,
    )


def _rows(xp: Any, n: int) -> dict[str, Any]:
    """The table's columns, in the order that `clear` takes them in."""
    return {
        "first": xp.empty(n, xp.int64),
        "voxels": xp.empty(n, xp.int64),
        "weight": xp.empty(n, xp.int64),
        "weighted_irc": xp.empty((n, 3), xp.int64),
        "low": xp.empty((n, 3), xp.int32),
        "high": xp.empty((n, 3), xp.int32),
        "hu_sum": xp.empty(n, xp.int64),
        "hu_max": xp.empty(n, xp.int32),
        "peak": xp.empty(n, xp.float32),
        "touches": xp.empty(n, xp.bool_),
        "size": xp.empty(n, xp.int64),
        "taken": xp.empty(n, xp.bool_),
    }


def _mask(xp: Any, run: cuda.Kernels, probability: Any, level: float, shape: list[np.int32], erode: bool) -> Any:
    """The foreground as words of bits, voxel k in bit k % 32 of word k // 32."""
    mask = xp.empty(-(-probability.size // WORD_BITS), xp.uint32)
    words = np.int64(mask.size)
    run("threshold", 4 * mask.size, probability, np.float32(level), mask, np.int64(probability.size), words)
    if not erode:
        return mask
    kept = xp.empty(mask.size, xp.uint32)
    run("erode", mask.size, mask, kept, words, *shape)
    return kept


def _populations_upto(xp: Any, run: cuda.Kernels, bits: Any) -> Any:
    """How many bits are set in each word and all before it."""
    count = xp.empty(bits.size, xp.int32)
    run("population", bits.size, bits, count, np.int64(bits.size))
    return xp.cumsum(count, dtype=xp.int32)


def _ids(xp: Any, run: cuda.Kernels, mask: Any, capacity: int) -> tuple[Any, np.int64, np.int32]:
    """What every kernel needs to know how many ids there are."""
    return _populations_upto(xp, run, mask), np.int64(mask.size), np.int32(capacity)


def _united(
    xp: Any,
    run: cuda.Kernels,
    version: str,
    mask: Any,
    ids: tuple[Any, np.int64, np.int32],
    shape: list[np.int32],
    connectivity: int,
) -> tuple[Any, Any]:
    """Where each id lies, and links that lead from it to its component's least id; by version 2, "voxels", or 3, "runs"."""
    capacity = int(ids[2])
    voxel, parent = xp.empty(capacity, xp.int64), xp.empty(capacity, xp.int32)
    run("collect", mask.size, mask, *ids, shape[2], voxel, parent)
    run(f"merge_{version}_{connectivity}", capacity, mask, *ids, *shape[1:], voxel, parent)
    return voxel, parent


def _last(upto: Any) -> Any:
    return upto[-1:].copy().reshape(())


def plain_labels(probability: Any, level: float, connectivity: int) -> Any:
    """Version 1, the baseline: (I,R,C) int32 CuPy array, the least flat index of each voxel's component, -1 outside.

    For volumes of less than 2**31 voxels.
    """
    xp, run = import_module("cupy"), cuda.kernels("component_table")
    probability = xp.ascontiguousarray(probability)
    label = xp.empty(probability.shape, xp.int32)
    voxels = np.int64(label.size)
    run("plain_start", label.size, probability, np.float32(level), label, voxels)
    run(f"plain_merge_{connectivity}", label.size, label, voxels, *(np.int32(n) for n in label.shape[1:]))
    run("plain_flatten", label.size, label, voxels)
    return label
