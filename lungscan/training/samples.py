"""Samples from the cache: slice stacks for the segmentation, crops around candidates for the classifiers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lungscan.engines import Engine
from lungscan.kernels.crop import crops
from lungscan.stages.group import group
from lungscan.stages.segment import segment
from lungscan.training.augment import Augmentation, augmented
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.weights.card import Card

Ints = npt.NDArray[np.int16]
Batches = Iterator[tuple[Tensor, Tensor]]

NEAR_NODULE, ON_TISSUE = 0.5, 0.3  # shares of the stacks; the rest lies anywhere in the lungs
DENSE_HU = -500  # vessels, walls, hila: where false positives come from
PLACES = 20_000  # remembered of each kind and volume
STACK_MOVES = Augmentation(shift_voxels=2)
CROP_MARGIN_IRC = (4, 12, 12)
CROP_MOVES = Augmentation(shift_voxels=2)


class Stacks:
    """Slice stacks with their labels; volumes narrower than the patch are left out, so give each patch size its own."""

    def __init__(self, cache: Cache, entries: Sequence[Entry], card: Card, patch: int, seed: int) -> None:
        self.card, self.patch, self.cut = card, patch, math.ceil(patch * 1.2 / 2) * 2
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.maps = [cache.maps(entry) for entry in entries]
        self.places = [self._places(*maps, count=len(entry.nodules)) for maps, entry in zip(self.maps, entries, strict=True)]

    def _places(self, hu: Ints, lungs: npt.NDArray[np.bool_], label: npt.NDArray[np.uint8], count: int) -> list[list[Ints]]:
        """Voxel indices: one list a nodule, one of dense tissue, one of lung."""
        numbers = [np.argwhere(label == k) for k in range(1, count + 1)]
        inside = np.asarray(lungs) & (np.asarray(label) == 0)
        others = [np.argwhere(inside & (np.asarray(hu) > DENSE_HU)), np.argwhere(inside)]
        some = [p[self.rng.integers(0, len(p), PLACES)].astype(np.int16) for p in others if len(p)]
        return [[n.astype(np.int16) for n in numbers if len(n)], some]

    def batches(self, size: int) -> Batches:
        """Endless batches: ((size, slices, patch, patch) HU in the card's window, (size, patch, patch) labels)."""
        while True:
            hu, label = zip(*(self._stack() for _ in range(size)), strict=True)
            x = torch.from_numpy(np.stack(hu).astype(np.float32)).clamp(*self.card.input.window_hu)
            moved, y = augmented(x, torch.from_numpy(np.stack(label)), self.patch, STACK_MOVES, self.generator)
            assert y is not None
            yield moved.clamp(*self.card.input.window_hu), y

    def _stack(self) -> tuple[Ints, npt.NDArray[np.uint8]]:
        which = int(self.rng.integers(len(self.maps)))
        hu, _, label = self.maps[which]
        nodules, others = self.places[which]
        kind = self.rng.random()
        if nodules and (kind < NEAR_NODULE or not others):
            among = nodules[int(self.rng.integers(len(nodules)))]
        else:
            among = others[0 if kind < NEAR_NODULE + ON_TISSUE else -1]
        jitter = [0, *self.rng.integers(-self.patch // 4, self.patch // 4 + 1, 2)]
        i, r, c = np.clip(among[int(self.rng.integers(len(among)))] + jitter, 0, np.array(hu.shape) - 1).tolist()
        context = self.card.input.context_slices
        slices = np.clip(np.arange(i - context, i + context + 1), 0, hu.shape[0] - 1)
        rows, columns = (np.arange(at - self.cut // 2, at + self.cut // 2) for at in (r, c))
        outside = (rows < 0) | (rows >= hu.shape[1]), (columns < 0) | (columns >= hu.shape[2])
        rows, columns = np.clip(rows, 0, hu.shape[1] - 1), np.clip(columns, 0, hu.shape[2] - 1)
        truth = label[i][np.ix_(rows, columns)]
        truth[outside[0]], truth[:, outside[1]] = IGNORED, IGNORED
        return hu[np.ix_(slices, rows, columns)], truth


@dataclass(frozen=True)
class Crops:
    """Crops with room to be moved, and the class looked for.

    hu     : (n, *crop + margin) int16
    label  : (n,) bool
    rank   : (n,) float32, the segmentation's peak (1 for true centres)
    """

    hu: Ints
    label: npt.NDArray[np.bool_]
    rank: npt.NDArray[np.float32]

    @classmethod
    def around(
        cls, cache: Cache, entry: Entry, card: Card, xyz: npt.ArrayLike, label: Sequence[bool], rank: Sequence[float]
    ) -> Crops:
        i, r, c = (n + m for n, m in zip(card.input.crop_irc, CROP_MARGIN_IRC, strict=True))
        centres = entry.grid.irc(np.asarray(xyz, float).reshape(-1, 3))
        cut = crops(np.asarray(cache.maps(entry)[0]), centres, (i, r, c), card.input.window_hu[0])
        return cls(cut, np.asarray(label, bool), np.asarray(rank, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Crops]) -> Crops:
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("hu", "label", "rank")))

    def batches(self, size: int, card: Card, seed: int) -> Batches:
        """Endless balanced batches: ((size, 1, *crop) HU, (size,) int64)."""
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        classes = [np.flatnonzero(~self.label), np.flatnonzero(self.label)]
        depth, side = card.input.crop_irc[0], card.input.crop_irc[1]
        while True:
            chosen = np.concatenate([rng.choice(rows, size // 2) for rows in classes])
            start = rng.integers(0, CROP_MARGIN_IRC[0] + 1, len(chosen))
            cut = np.stack([self.hu[k][s : s + depth] for k, s in zip(chosen, start, strict=True)])
            x = torch.from_numpy(cut.astype(np.float32)).clamp(*card.input.window_hu)
            moved, _ = augmented(x, None, side, CROP_MOVES, generator)
            yield moved[:, None].clamp(*card.input.window_hu), torch.from_numpy(self.label[chosen].astype(np.int64))


def candidate_crops(cache: Cache, entry: Entry, card: Card, engine: Engine, threshold: float) -> Crops:
    """Every candidate of the segmentation over `threshold`, and every true centre; candidates on ignored voxels left out."""
    volume, lungs, label = cache.volume(entry), cache.gate(entry), cache.maps(entry)[2]
    found = group(segment(volume, lungs, card, engine), volume, lungs, card, threshold)
    xyz: list[tuple[float, float, float]] = [n.centre_xyz_mm for n in entry.nodules]
    truth, rank = [True] * len(xyz), [1.0] * len(xyz)
    for c in found:
        at = tuple(np.clip(np.rint(c.centre_irc).astype(int), 0, np.array(label.shape) - 1))
        hit = any(math.dist(c.centre_xyz_mm, n.centre_xyz_mm) < n.diameter_mm / 2 for n in entry.nodules)
        near = any(math.dist(c.centre_xyz_mm, n.centre_xyz_mm) < n.diameter_mm for n in entry.nodules)
        if label[at] == IGNORED or (near and not hit):
            continue
        xyz.append(c.centre_xyz_mm)
        truth.append(hit)
        rank.append(c.p_segmentation)
    return Crops.around(cache, entry, card, xyz, truth, rank)
