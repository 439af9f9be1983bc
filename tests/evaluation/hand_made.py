"""Scans and networks made by hand, so that every figure can be counted on fingers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lungscan.evaluation.judged import Judged
from lungscan.findings import Candidate
from lungscan.pipeline import Networks
from lungscan.training.cache import Cache, Entry, Nodule
from lungscan.weights import Weights
from lungscan.weights.card import Card
from tests.support import small_card

SPACING = (2.0, 1.25, 1.25)
CARD = replace(small_card(), input=replace(small_card().input, spacing_irc_mm=SPACING))


def nodule(x: float, diameter_mm: float, *ratings: int) -> Nodule:
    """On the X axis."""
    return Nodule((x, 0.0, 0.0), diameter_mm, ratings)


def candidate(x: float, p_nodule: float, diameter_mm: float = 8.0, p_malignant: float | None = None) -> Candidate:
    """On the X axis."""
    return Candidate(
        (0.0, 0.0, x), (x, 0.0, 0.0), 9, 18.0, diameter_mm, ((0, 1), (0, 1), (0, 1)), 0.0, 50, 0.8, p_nodule, p_malignant
    )


def scan(
    name: str,
    nodules: Sequence[Nodule],
    candidates: Sequence[Candidate],
    ignored: Sequence[Nodule] = (),
    patient: str | None = None,
) -> Judged:
    return Judged(name, patient or name, name, tuple(nodules), tuple(ignored), tuple(candidates))


@dataclass
class Engine:
    """Says what a rule in HU says."""

    kind: str
    name: str = "rule"
    version: str = "1"
    precision: str = "fp32"
    device: str = "cpu"

    def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            if self.kind == "segmentation":
                yield np.where(batch[:, 3] > -300, 0.9, 0.05).astype(np.float32)
            else:
                yield np.where(batch.max(axis=(1, 2, 3, 4)) > 150, 0.25, 0.75).astype(np.float32)


def rules(card: Card = CARD) -> Networks:
    """Dense voxels are segmented; calcified ones (over 150 HU) are said to be no nodule, others one."""
    weights = Weights(card, {}, {}, None, "0" * 64)
    return Networks(weights, Engine("segmentation"), Engine("nodule"), Engine("malignancy"))


SHAPE = (24, 64, 64)
NODULE, VESSEL, STONE, FAINT = (4, 20, 20), (18, 40, 44), (11, 44, 20), (11, 14, 46)
"""Places of 10 mm balls (I,R,C): soft tissue that is a nodule, soft tissue that is none, calcium and haze that are ones."""


def write_entry(cache: Cache, name: str, patient: str | None = None, series: str | None = None) -> Entry:
    """A block of lung with the four balls in it."""
    hu = np.full(SHAPE, -850, np.int16)
    label = np.zeros(SHAPE, np.uint8)
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    number = 0
    for place, density in ((NODULE, 20), (VESSEL, 30), (STONE, 300), (FAINT, -600)):
        ball = np.linalg.norm((index - place) * SPACING, axis=-1) <= 5
        hu[ball] = density
        if place != VESSEL:
            number += 1
            label[ball] = number
    entry = Entry(
        name=name,
        patient=patient or name,
        series=series or f"hash-of-{name}",
        spacing_irc_mm=SPACING,
        origin_xyz_mm=(0.0, 0.0, 0.0),
        direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        shape=SHAPE,
        nodules=tuple(Nodule((c * 1.25, r * 1.25, i * 2.0), 10.0, (5, 5)) for i, r, c in (NODULE, STONE, FAINT)),
    )
    cache.write(entry, hu, np.ones(SHAPE, bool), label)
    return entry
