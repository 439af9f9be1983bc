"""What a scan will take, before it is made: memory by arithmetic on its grid, time by a first slab of it."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from importlib import import_module

from lungscan.engines import Engine
from lungscan.errors import InputRefused
from lungscan.kernels.component_table import WORD_BITS
from lungscan.networks import graph
from lungscan.readers.room import AMPLE, Room
from lungscan.stages.classify import CHUNK
from lungscan.stages.group import ROOM, VOXELS
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import SLAB_SLICES, SLAB_SLICES_ON_GPU, segment
from lungscan.volume import Grid, Shape, Volume
from lungscan.weights.card import Card

BASE_BYTES = 260_000_000
"""Python, its libraries, compiled networks and what the allocator keeps, on a CPU: 190 MB measured before a scan is read."""

HELD_BYTES = 2**26
"""Of a DICOM folder's files while it is read, where memory has a bound: the others are read twice."""

WHOLE_SHARE = 3
"""A DICOM file of many frames is held as it lies there, unpacked, and as HU."""

ROW_BYTES, VOXEL_BYTES = 128, 37
"""Of the table of components on a GPU: a row, and a voxel over the threshold."""


@dataclass(frozen=True)
class Budget:
    """What a scan will take. `device_bytes` is 0 on a CPU; `seconds` are those of the stages, without reading."""

    shape_irc: Shape
    host_bytes: int
    device_bytes: int
    seconds: float


def prepared_shape(grid: Grid, card: Card) -> Shape:
    """Of the scan on the networks' grid."""
    if card.input.spacing_irc_mm is None:
        return grid.shape
    i, r, c = (
        math.floor((n - 1) * old / new) + 1
        for n, old, new in zip(grid.shape, grid.spacing_irc_mm, card.input.spacing_irc_mm, strict=True)
    )
    return i, r, c


@dataclass(frozen=True)
class Portions:
    """How much of a scan the networks have before them at a time; it changes no result.

    requests : slices in the U-Net at once
    crops    : candidates in a batch of the classifiers
    """

    requests: int
    crops: int = CHUNK


NARROW = Portions(requests=1, crops=8)
"""The least memory: all cores work on one slice."""


def wide() -> Portions:
    """The fastest: a slice a core."""
    return Portions(requests=os.cpu_count() or 1)


def fitting(name: str, grid: Grid, card: Card, precision: str, max_memory: int | None) -> Portions:
    """The widest portions in which a scan on this grid stays under a bound in bytes.

    Its lungs are not known yet, so they count as all of it. Raises InputRefused, with what is needed, when no portion is
    small enough.
    """
    if max_memory is None:
        return wide()
    for portions in (wide(), NARROW):
        needed = on_host(grid, card, prepared_shape(grid, card), precision, portions)
        if needed <= max_memory:
            return portions
    raise InputRefused(
        f"{name} needs {needed / 1e6:.0f} MB of memory, more than the {max_memory / 1e6:.0f} MB that --max-memory allows; "
        "allow it more, or scan it on another machine."
    )


def share(max_memory: int | None, jobs: int) -> int | None:
    """Of a bound on a process that has so many scans in memory at a time, the bound on each, as if it were alone."""
    return None if max_memory is None else BASE_BYTES + max(max_memory - BASE_BYTES, 0) // jobs


def room(card: Card, precision: str, max_memory: int | None) -> Room:
    """What reading may take so that the whole scan stays under a bound in bytes."""
    if max_memory is None:
        return AMPLE
    whole = max(max_memory - BASE_BYTES, 0) // WHOLE_SHARE

    def admits(name: str, grid: Grid) -> None:
        fitting(name, grid, card, precision, max_memory)

    return Room(min(HELD_BYTES, whole), min(AMPLE.whole_bytes, whole), admits)


def on_host(grid: Grid, card: Card, heatmap: Shape, precision: str, portions: Portions, held_bytes: int = HELD_BYTES) -> int:
    """Bytes of a scan on a CPU at the most, while it is read or afterwards: HU, resampled HU, the heatmap with its masks,
    two slabs, what is in the U-Net, and four batches of crops. On a GPU CUDA's own come on top.

    held_bytes : of its files while they are read; a file that is no DICOM is not held, but for a piece
    """
    inputs = card.input
    hu, _, rows, columns = 2 * math.prod(grid.shape), *prepared_shape(grid, card)
    resampled = 0 if inputs.spacing_irc_mm is None else 2 * math.prod(prepared_shape(grid, card))
    slab = 4 * (SLAB_SLICES + 2 * inputs.context_slices) * rows * columns
    item = 2 if precision in ("bf16", "fp16") else 4
    requests = portions.requests * item * rows * columns * _values_a_pixel(card)
    crops = 6 * portions.crops * math.prod(inputs.crop_irc) * len(inputs.crop_scales)
    after = hu + resampled + 7 * math.prod(heatmap) + 2 * slab + round(requests) + 4 * crops
    return BASE_BYTES + max(hu + min(hu, held_bytes), after)


def _values_a_pixel(card: Card) -> float:
    """Of the U-Net at its widest: the first level on the way up with its skip, what lies below, and the stack."""
    network = card.segmentation
    return 5 * network.width / graph.fold(network) ** 2 * 4 / 3 + 2 * card.input.context_slices + 1


def on_gpu(grid: Grid, card: Card) -> int:
    """Bytes of a scan that lies wholly on a GPU: HU, resampled HU, heatmap, lungs, the table of components, and the widest
    level of a slab in the U-Net with its skips, in float16."""
    _, rows, columns = shape = prepared_shape(grid, card)
    voxels = math.prod(shape)
    resampled = 0 if card.input.spacing_irc_mm is None else 2
    slab = 2 * SLAB_SLICES_ON_GPU * rows * columns * _values_a_pixel(card)
    table = ROOM * ROW_BYTES + VOXELS * VOXEL_BYTES + 16 * voxels // WORD_BITS
    return 2 * math.prod(grid.shape) + (resampled + 4 + 1) * voxels + table + round(slab)


def has_room(grid: Grid, card: Card, max_memory: int | None = None) -> bool:
    """Whether the current GPU has the memory for all of a scan, and may take it."""
    free, _ = import_module("cupy").cuda.runtime.memGetInfo()
    return on_gpu(grid, card) <= min(int(free), max_memory or int(free))


def budget(volume: Volume, card: Card, segmentation: Engine, *, lung_gate: bool) -> Budget:
    """The budget of a scan: a slab of it is segmented, twice, and the second time is taken for all slabs."""
    on_device = segmentation.device == "cuda"
    start = time.perf_counter()
    prepared, lungs = normalise(volume, card.input.spacing_irc_mm, lung_gate=lung_gate)
    normalised = time.perf_counter() - start
    depth, rows, columns = prepared.grid.shape
    box = lungs.box(prepared.grid) if lungs else ((0, depth), (0, rows), (0, columns))
    (first, last), *_ = box
    slices = min(SLAB_SLICES, last - first)
    middle = (first + last - slices) // 2
    part = ((middle, middle + slices), (0, rows), (0, columns))
    slab = Volume(prepared.hu[middle : middle + slices], prepared.grid.part(part), prepared.source)
    for _ in range(2):
        start = time.perf_counter()
        segment(slab, lungs, card, segmentation)
        seconds = time.perf_counter() - start
    return Budget(
        shape_irc=volume.grid.shape,
        host_bytes=on_host(
            volume.grid,
            card,
            prepared.grid.part(box).shape,
            segmentation.precision,
            wide(),
            AMPLE.held_bytes if volume.source.format.startswith("dicom") else 0,
        ),
        device_bytes=on_gpu(volume.grid, card) if on_device else 0,
        seconds=normalised + seconds * (last - first) / slices,
    )
