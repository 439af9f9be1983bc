"""Painted copies of the cache's real scans: what the networks mostly learn from where real nodules are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lungscan.recipe.painting import paint, rescanned, sites
from lungscan.recipe.shapes import Shape
from lungscan.training.cache import Cache, Entry

LITRES_PER_NODULE = 0.15
"""One painted nodule for so much lung: some 25 in a whole scan, 1 to 4 in a block."""


def painted_copy(cache: Cache, entry: Entry, shapes: Sequence[Shape], index: int, seed: int, mark: str = "") -> Entry:
    """Write and return the entry NAME+mark+index: its own nodules and painted ones, as another scanner might show them.

    The same seed, entry, mark and index give the same bytes.
    """
    name = f"{entry.name}+{mark}{index}"
    series = int(entry.series, 16) % 2**31
    rng = np.random.default_rng([seed, index, series, entry.shape[0], *entry.name.encode(), *mark.encode()])
    mapped = cache.maps(entry)
    hu, lungs, label = np.array(mapped[0]), np.array(mapped[1]), np.array(mapped[2])
    where = sites(hu, lungs, entry.grid)
    litres = float(where.inner.sum()) * entry.grid.voxel_mm3 / 1e6
    count = max(1, round(litres / LITRES_PER_NODULE)) + int(rng.integers(3))
    drawn = paint(hu, label, entry.grid, where, shapes, count, rng) if len(where.anywhere) else []
    copy = replace(entry, name=name, nodules=(*entry.nodules, *drawn))
    cache.write(copy, rescanned(hu, entry.spacing_irc_mm[0], rng), lungs, label)
    return copy
