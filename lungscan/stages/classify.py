"""Candidates → candidates with P(nodule) and P(malignant): one crop each, many in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lungscan.engines import Engine
from lungscan.findings import Candidate
from lungscan.kernels.crop import crops
from lungscan.kernels.window import windowed
from lungscan.stages import Progress, silent
from lungscan.volume import Volume
from lungscan.weights.card import Card

CHUNK = 64
"""Crops held in memory at once: 28 MB of the book's size."""


def classify(
    candidates: Sequence[Candidate],
    volume: Volume,
    card: Card,
    nodule: Engine,
    malignancy: Engine | None,
    threshold_nodule: float,
    progress: Progress = silent,
) -> list[Candidate]:
    """The same candidates with P(nodule), and with P(malignant) for those that reach the nodule threshold.

    Crops have the card's size around the rounded centre, shifted inside the volume at its borders.
    """
    out: list[Candidate] = []
    for start in range(0, len(candidates), CHUNK):
        progress("classify", start, len(candidates))
        chunk = candidates[start : start + CHUNK]
        centres = np.array([c.centre_irc for c in chunk])
        cut = crops(volume.hu, centres, card.input.crop_irc, card.input.window_hu[0])
        batch = windowed(cut, card.input.window_hu)
        p_nodule = nodule(batch)
        likely = np.flatnonzero(p_nodule >= threshold_nodule)
        p_malignant: dict[int, float] = {}
        if malignancy is not None and len(likely):
            p_malignant = dict(zip(likely.tolist(), malignancy(batch[likely]).tolist(), strict=True))
        out += [
            replace(c, p_nodule=float(p), p_malignant=p_malignant.get(k))
            for k, (c, p) in enumerate(zip(chunk, p_nodule, strict=True))
        ]
    progress("classify", len(candidates), len(candidates))
    return out
