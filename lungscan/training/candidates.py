"""What the segmentation takes for nodules in a cached scan, and whether it is right: the classifier's samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lungscan.engines import Engine
from lungscan.findings import Candidate
from lungscan.stages.group import group
from lungscan.stages.segment import segment
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.training.samples import Crops
from lungscan.weights.card import Card

HIT, MISS, NEITHER = 1, 0, -1


def found(cache: Cache, entry: Entry, card: Card, engine: Engine, threshold: float) -> list[Candidate]:
    """The segmentation's candidates over `threshold` in an entry."""
    volume, lungs = cache.volume(entry), cache.gate(entry)
    return group(segment(volume, lungs, card, engine), volume, lungs, card, threshold).rows()


def verdicts(entry: Entry, label: npt.NDArray[np.uint8], candidates: Sequence[Candidate]) -> npt.NDArray[np.int64]:
    """(n,) HIT for a centre within a nodule's radius, as LUNA16 has it; NEITHER for one on ignored voxels, or within a
    nodule's diameter; else MISS."""
    centres = np.array([c.centre_xyz_mm for c in candidates]).reshape(-1, 3)
    out = np.full(len(centres), MISS)
    if entry.nodules and len(centres):
        apart = np.linalg.norm(centres[:, None] - [n.centre_xyz_mm for n in entry.nodules], axis=-1)
        diameter = np.array([n.diameter_mm for n in entry.nodules])
        out[(apart < diameter).any(axis=1)] = NEITHER
        out[(apart < diameter / 2).any(axis=1)] = HIT
    at = np.rint([c.centre_irc for c in candidates]).astype(int).reshape(-1, 3)
    at = np.clip(at, 0, np.array(label.shape) - 1)
    out[(label[tuple(at.T)] == IGNORED) & (out != HIT)] = NEITHER
    return out


def candidate_crops(cache: Cache, entry: Entry, card: Card, engine: Engine, threshold: float) -> Crops:
    """Every true centre, and every candidate over `threshold` that is right or wrong."""
    candidates = found(cache, entry, card, engine, threshold)
    said = verdicts(entry, np.asarray(cache.maps(entry)[2]), candidates)
    true = entry.grid.irc(np.array([n.centre_xyz_mm for n in entry.nodules]).reshape(-1, 3))
    sure = [(c, v) for c, v in zip(candidates, said.tolist(), strict=True) if v != NEITHER]
    centres = np.concatenate([true, np.array([c.centre_irc for c, _ in sure]).reshape(-1, 3)])
    positive = np.array([True] * len(true) + [v == HIT for _, v in sure], bool)
    peak = np.array([1.0] * len(true) + [c.p_segmentation for c, _ in sure], np.float32)
    return Crops.around(cache, entry, card, centres, positive, peak)
