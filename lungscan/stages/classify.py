"""Candidates → candidates with P(nodule) and P(malignant): one crop each, many in a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lungscan.engines import Engine
from lungscan.findings import Candidate
from lungscan.kernels.crop import crops
from lungscan.kernels.window import windowed
from lungscan.stages import Progress, silent
from lungscan.volume import Volume
from lungscan.weights.card import Calibration, Card

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
    """The same candidates with P(nodule), and with P(malignant) for those that reach the nodule threshold, both calibrated
    as the card says.

    Crops have the card's size around the rounded centre, and at the volume's borders do as it says.
    """
    centres = np.array([c.centre_irc for c in candidates]).reshape(-1, 3)
    chunks: deque[npt.NDArray[np.float32]] = deque()

    def batches() -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, len(centres), CHUNK):
            near = centres[start : start + CHUNK]
            cut = crops(volume.hu, near, card.input.crop_irc, card.input.crop_scales, card.input.crop_border)
            chunks.append(windowed(cut, card.input.window_hu))
            yield chunks[-1]

    out: list[Candidate] = []
    for said in nodule(batches()):
        progress("classify", len(out), len(candidates))
        batch, these = chunks.popleft(), candidates[len(out) : len(out) + len(said)]
        p_nodule = [_calibrated(card.nodule_calibration, p, c) for p, c in zip(said.tolist(), these, strict=True)]
        likely = [k for k, p in enumerate(p_nodule) if p >= threshold_nodule]
        p_malignant: dict[int, float] = {}
        if malignancy is not None and likely:
            (p_said,) = malignancy([batch[likely]])
            p_malignant = {
                k: _calibrated(card.malignancy_calibration, p, these[k])
                for k, p in zip(likely, p_said.tolist(), strict=True)
            }
        out += [replace(c, p_nodule=p_nodule[k], p_malignant=p_malignant.get(k)) for k, c in enumerate(these)]
    progress("classify", len(candidates), len(candidates))
    return out


def _calibrated(calibration: Calibration | None, p: float, candidate: Candidate) -> float:
    return p if calibration is None else calibration(p, candidate.p_segmentation, candidate.diameter_mm)
