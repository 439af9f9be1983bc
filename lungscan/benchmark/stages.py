"""The stages between reading and the verdict as works, each on what the one before it makes of a phantom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from scipy import ndimage

from lungscan import traffic
from lungscan.benchmark.work import Work
from lungscan.engines import Engine
from lungscan.engines.proof import MOST, largest_difference
from lungscan.kernels.crop import crops
from lungscan.kernels.stack import stacks
from lungscan.kernels.window import windowed
from lungscan.kernels.world import on_host
from lungscan.networks.graph import Network
from lungscan.parity.gate import networks
from lungscan.phantom import Phantom, make_chest
from lungscan.pipeline import Networks
from lungscan.stages.classify import classify
from lungscan.stages.group import group
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import Heatmap, segment
from lungscan.volume import Box, Triple, Volume, triple

COARSE_MM = 4.5
FINER = 3
"""The phantom is made coarse, which is quick; then each of its voxels becomes this many along each axis."""

SIDE = 128
SLICES = 8


def phantom() -> Phantom:
    """A chest of 1.5 mm voxels."""
    coarse = make_chest(7, spacing_irc_mm=(COARSE_MM,) * 3, noise=False)
    hu = coarse.volume.hu
    for axis in range(3):
        hu = hu.repeat(FINER, axis=axis)
    hu = np.maximum(hu + np.random.default_rng(0).integers(-20, 21, hu.shape, np.int16), -1024)
    grid = coarse.volume.grid
    origin = triple(grid.xyz([-(FINER - 1) / (2 * FINER)] * 3))
    grid = replace(grid, shape=hu.shape, spacing_irc_mm=(COARSE_MM / FINER,) * 3, origin_xyz_mm=origin)
    return replace(coarse, volume=replace(coarse.volume, hu=hu, grid=grid))


def stages(chest: Phantom, opened: Networks, *, on_gpu: bool) -> Iterator[Work]:
    """Each judged by the phantom's truth, by SciPy, or by the networks in float32."""
    card, volume = opened.weights.card, chest.volume
    nodules = [n.centre_xyz_mm for n in chest.nodules]
    spacing = card.input.spacing_irc_mm

    def prepare() -> Any:
        return normalise(volume, spacing, lung_gate=True, on_gpu=on_gpu)

    prepared, _ = prepare()
    yield Work(
        "normalise",
        prepare,
        lambda made: bool(made[1].contains(np.asarray(nodules)).all()),
        2 * volume.hu.size + (0 if spacing is None else traffic.resampling(volume.hu.shape, prepared.hu.shape)),
    )
    yield _segmenting(prepared, opened)
    everything = replace(card, grouping=replace(card.grouping, cleanup="none", connectivity=26, minimum_mm3=0.0))
    level = card.thresholds.segmentation
    heatmap = _balls(prepared, [*nodules, *chest.decoys_xyz_mm.tolist()])
    count = ndimage.label(on_host(heatmap.values) > level, np.ones((3, 3, 3)))[1]

    def grouped() -> Any:
        return group(heatmap, prepared, None, everything, level)

    yield Work("group", grouped, lambda found: len(found.rows()) == count, traffic.grouping(heatmap.grid.shape))
    yield _classifying(grouped(), prepared, opened, count)


def _segmenting(prepared: Volume, opened: Networks) -> Work:
    card, engine = opened.weights.card, opened.segmentation
    middle, (_, height, width) = prepared.grid.shape[0] // 2, prepared.grid.shape
    box: Box = ((middle, middle + SLICES), (0, height), (0, width))
    slab = Volume(prepared.hu[middle : middle + SLICES], prepared.grid.part(box), prepared.source)
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    seen: Box = ((0, SLICES), (top, top + SIDE), (left, left + SIDE))
    rows = stacks(slab.hu, seen, card.input.window_hu, card.input.context_slices, SIDE)
    return Work(
        f"segment {SLICES} slices",
        lambda: segment(slab, None, card, engine),
        lambda _: _agrees(engine, next(networks(opened.weights)), rows),
        traffic.unet(card, SLICES * height * width, engine.precision),
    )


def _classifying(found: Any, prepared: Volume, opened: Networks, count: int) -> Work:
    card, engine = opened.weights.card, opened.nodule
    inputs = card.input
    cut = crops(prepared.hu, found.centre_irc[:8], inputs.crop_irc, inputs.crop_scales, inputs.crop_border)
    rows = windowed(cut, inputs.window_hu)
    _, network, *_ = networks(opened.weights)
    return Work(
        f"classify {count} candidates",
        lambda: classify(found, prepared, card, engine, None, card.thresholds.nodule),
        lambda _: _agrees(engine, network, rows),
        traffic.classifier(card, card.nodule, len(found.row), engine.precision),
    )


def _agrees(engine: Engine, network: Network, rows: Any) -> bool:
    """With float32 on the CPU, as far as the engine's precision allows."""
    (p,) = engine([rows])
    return largest_difference(network, on_host(p), on_host(rows)) <= MOST[engine.precision]


def _balls(prepared: Volume, places: Sequence[Triple]) -> Heatmap:
    """Certainty within 3 voxels of these places of the patient."""
    grid = prepared.grid
    values = np.zeros(grid.shape, np.float32)
    ball = np.linalg.norm(np.indices((7, 7, 7)) - 3, axis=0) <= 3
    for at in np.rint(grid.irc(np.asarray(places))).astype(int):
        corner = np.clip(at - 3, 0, np.asarray(grid.shape) - 7)
        values[tuple(slice(low, low + 7) for low in corner)][ball] = 0.9
    whole: Box = ((0, grid.shape[0]), (0, grid.shape[1]), (0, grid.shape[2]))
    there = values if isinstance(prepared.hu, np.ndarray) else import_module("cupy").asarray(values)
    return Heatmap(there, whole, grid)
