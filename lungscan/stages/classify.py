"""Candidates → candidates with P(nodule) and P(malignant): one crop each, many in a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lungscan.engines import Engine
from lungscan.kernels.crop import crops
from lungscan.kernels.window import windowed
from lungscan.kernels.world import input_type, world
from lungscan.stages import Progress, silent
from lungscan.stages.candidates import Candidates
from lungscan.volume import Volume
from lungscan.weights.card import Calibration, Card

CHUNK = 64
"""Crops held in memory at once: 28 MB of the book's size."""


def classify(
    candidates: Candidates,
    volume: Volume,
    card: Card,
    nodule: Engine,
    malignancy: Engine | None,
    threshold_nodule: float,
    progress: Progress = silent,
    chunk: int = CHUNK,
) -> Candidates:
    """The same candidates with P(nodule), and with P(malignant) for those that reach the nodule threshold, both calibrated
    as the card says.

    Crops have the card's size around the rounded centre, and at the volume's borders do as it says. How many are held at
    once (`chunk`) changes no result.
    """
    xp, total = world(candidates.row), len(candidates.row)
    p_nodule, p_malignant = xp.full(total, np.nan), xp.full(total, np.nan)
    dtype = input_type(volume.hu, nodule.precision)
    chunks: deque[Any] = deque()

    def batches() -> Iterator[Any]:
        for start in range(0, total, chunk):
            near = candidates.centre_irc[start : start + chunk]
            cut = crops(volume.hu, near, card.input.crop_irc, card.input.crop_scales, card.input.crop_border)
            chunks.append(windowed(cut, card.input.window_hu, dtype))
            yield chunks[-1]

    for k, said in enumerate(nodule(batches())):
        progress("classify", k * chunk, total)
        batch, these = chunks.popleft(), slice(k * chunk, k * chunk + len(said))
        shown = _calibrated(card.nodule_calibration, said, candidates, these)
        p_nodule[these] = shown
        asked = _those(shown >= threshold_nodule)
        if malignancy is not None and len(asked):
            (said,) = malignancy([batch[asked]])
            of = asked + these.start
            p_malignant[of] = _calibrated(card.malignancy_calibration, said, candidates, of)
    progress("classify", total, total)
    p_malignant = xp.where(p_nodule >= threshold_nodule, p_malignant, np.nan)
    return replace(candidates, p_nodule=p_nodule, p_malignant=p_malignant)


def _those(which: Any) -> Any:
    """The rows of a mask; on a GPU all rows, since to count them the host would have to wait."""
    return np.flatnonzero(which) if isinstance(which, np.ndarray) else world(which).arange(len(which))


def _calibrated(calibration: Calibration | None, said: Any, candidates: Candidates, rows: Any) -> Any:
    p = said.astype(np.float64)
    return (
        p if calibration is None else calibration(p, candidates.peak[rows].astype(np.float64), candidates.diameter_mm[rows])
    )
