"""A cache of small lungs with balls for nodules: what networks learn from in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lungscan.training import splits
from lungscan.training.cache import Cache, Entry, Nodule
from lungscan.weights.card import Card
from tests.support import small_card

SPACING = (2.0, 1.25, 1.25)
SHAPE = (16, 48, 48)


def card() -> Card:
    """The tests' small card on the cache's grid."""
    small = small_card()
    return replace(small, name="balls", input=replace(small.input, spacing_irc_mm=SPACING))


def entry(cache: Cache, index: int, nodules: int = 3) -> Entry:
    """Lung everywhere but at the border; balls of 8 and 16 mm, the large ones called malignant by three of four readers."""
    rng = np.random.default_rng(index)
    hu = rng.normal(-850, 40, SHAPE).astype(np.int16)
    lungs = np.zeros(SHAPE, bool)
    lungs[1:-1, 4:-4, 4:-4] = True
    hu[~lungs] = 40
    label = np.zeros(SHAPE, np.uint8)
    place = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    truth = []
    for number in range(1, nodules + 1):
        large = (index + number) % 2 == 0
        diameter = 16.0 if large else 8.0
        centre = np.array([8, 12 + 12 * (number % 3), 12 + 12 * (number // 2)]) + rng.uniform(-1, 1, 3)
        ball = np.linalg.norm((place - centre) * SPACING, axis=-1) <= diameter / 2
        hu[ball], label[ball] = 50, number
        i, r, c = centre * SPACING
        truth.append(Nodule((c, r, i), diameter, (4, 5, 4, 3) if large else (1, 2, 2, 1)))
    made = Entry(
        name=f"ball-{index}",
        patient=f"patient-{index}",
        series=f"{index:016x}",
        spacing_irc_mm=SPACING,
        origin_xyz_mm=(0.0, 0.0, 0.0),
        direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        shape=SHAPE,
        nodules=tuple(truth),
    )
    cache.write(made, hu, lungs, label)
    return made


def make(folder: Path, scans: int = 6) -> Path:
    """A cache in `folder`, split between patients."""
    folder.mkdir(exist_ok=True)
    cache = Cache(folder)
    splits.write(folder, [entry(cache, index) for index in range(scans)], validation=0.34)
    return folder
