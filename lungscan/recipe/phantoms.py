"""Phantoms as entries of the cache: chests without end whose truth is exact."""

from __future__ import annotations

import numpy as np

from lungscan.phantom import make_chest
from lungscan.stages.normalise import normalise
from lungscan.training.cache import Cache, Entry, Nodule, lung_part, lungs_on
from lungscan.volume import Triple, series_hash, triple


def phantom_entry(cache: Cache, seed: int, index: int, spacing_irc_mm: Triple) -> Entry:
    """Write and return one chest; a nodule's voxels are the dense ones within its radius and half a millimetre."""
    phantom = make_chest(seed, index)
    volume, lungs = normalise(phantom.volume, spacing_irc_mm, lung_gate=True)
    assert lungs is not None
    box = lung_part(volume, lungs)
    grid = volume.grid.part(box)
    hu = np.ascontiguousarray(volume.hu[tuple(slice(*side) for side in box)])
    label = np.zeros(grid.shape, np.uint8)
    index_irc = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1, dtype=np.float32)
    for number, nodule in enumerate(phantom.nodules, start=1):
        radius = nodule.diameter_mm / 2 + 0.5
        centre = grid.irc(nodule.centre_xyz_mm)
        reach = np.ceil(radius / np.asarray(grid.spacing_irc_mm)).astype(int) + 1
        near = tuple(slice(max(int(c) - n, 0), max(int(c) + n + 2, 0)) for c, n in zip(centre, reach, strict=True))
        distance = np.linalg.norm((index_irc[near] - centre) * grid.spacing_irc_mm, axis=-1)
        label[near][(distance <= radius) & (hu[near] > -750)] = number
    a, b, c = (triple(row) for row in grid.direction)
    entry = Entry(
        name=f"phantom-{seed}-{index}",
        patient=f"phantom-{seed}-{index}",
        series=series_hash(phantom.volume.source.series_uid),
        spacing_irc_mm=spacing_irc_mm,
        origin_xyz_mm=grid.origin_xyz_mm,
        direction=(a, b, c),
        shape=grid.shape,
        nodules=tuple(Nodule(n.centre_xyz_mm, n.diameter_mm, n.ratings) for n in phantom.nodules),
    )
    cache.write(entry, hu, lungs_on(grid, lungs), label)
    return entry
