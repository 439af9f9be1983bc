"""What a scan will take, before it is made: memory by arithmetic on its grid, time by a first slab of it."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from importlib import import_module

from lungscan.engines import Engine
from lungscan.kernels.component_table import WORD_BITS
from lungscan.networks import graph
from lungscan.stages.classify import CHUNK
from lungscan.stages.group import ROOM, VOXELS
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import SLAB_SLICES, SLAB_SLICES_ON_GPU, segment
from lungscan.volume import Grid, Shape, Volume
from lungscan.weights.card import Card

BASE_BYTES = 260_000_000
"""Python, its libraries, compiled networks and what the allocator keeps, on a CPU: 190 MB measured before a scan is read."""

READING = {"metaio": 2.6, "nifti": 3.1, "nrrd": 3.1}
READING_DICOM = 2.1
"""Memory while a file is read, in volumes of int16: its bytes, what is inflated, the HU. Measured on 600 slices."""

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


def on_host(volume: Volume, card: Card, heatmap: Shape, precision: str) -> int:
    """Bytes of a scan on a CPU at the most, while it is read or afterwards: HU, resampled HU, the heatmap with its masks,
    two slabs, a request a core in the U-Net, and four chunks of crops. On a GPU CUDA's own come on top."""
    grid, inputs = volume.grid, card.input
    hu, _, rows, columns = 2 * math.prod(grid.shape), *prepared_shape(grid, card)
    resampled = 0 if inputs.spacing_irc_mm is None else 2 * math.prod(prepared_shape(grid, card))
    slab = 4 * (SLAB_SLICES + 2 * inputs.context_slices) * rows * columns
    item = 2 if precision in ("bf16", "fp16") else 4
    requests = (os.cpu_count() or 1) * item * rows * columns * _values_a_pixel(card)
    crops = 6 * CHUNK * math.prod(inputs.crop_irc) * len(inputs.crop_scales)
    after = hu + resampled + 7 * math.prod(heatmap) + 2 * slab + round(requests) + 4 * crops
    return BASE_BYTES + max(round(READING.get(volume.source.format, READING_DICOM) * hu), after)


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


def has_room(grid: Grid, card: Card) -> bool:
    """Whether the current GPU has the memory for all of a scan."""
    free, _ = import_module("cupy").cuda.runtime.memGetInfo()
    return on_gpu(grid, card) <= int(free)


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
        host_bytes=on_host(volume, card, prepared.grid.part(box).shape, segmentation.precision),
        device_bytes=on_gpu(volume.grid, card) if on_device else 0,
        seconds=normalised + seconds * (last - first) / slices,
    )
