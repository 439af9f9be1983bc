"""Samples from the cache: slice stacks for the segmentation, crops around candidates for the classifiers.

A batch depends on the seed, the step and the rank alone, so a training that goes on after an interruption, or on several
devices, sees what it would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lungscan.kernels.crop import crops
from lungscan.training.augment import Augmentation, Moves, draw, moved, noisy
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.weights.card import Card

Ints = npt.NDArray[np.int16]
Batch = tuple[Tensor, Tensor]

CPU = torch.device("cpu")
NEAR_NODULE, ON_TISSUE = 0.5, 0.3  # shares of the stacks; the rest lies anywhere in the lungs
DENSE_HU = -500  # vessels, walls, hila: where false positives come from
PLACES = 20_000  # remembered of each kind and volume
BOXED, BOX_MM = 0.3, 51.0  # share of the crops that end where a cube of so many mm would, so that no border tells one


class Sampler(Protocol):
    """Batches by number."""

    def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:
        """Network input in HU and target, moved about on the device. The same step, rank and kind of device repeat it."""
        ...


def generators(seed: int, step: int, rank: int) -> tuple[np.random.Generator, torch.Generator]:
    """Random numbers that depend on nothing else."""
    rng = np.random.default_rng([seed, step, rank])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


@dataclass(frozen=True)
class _Scan:
    """A volume's maps, and the voxels (n, 3) at which a stack may be cut: of each nodule, of dense tissue, of lung."""

    hu: Ints
    label: npt.NDArray[np.uint8]
    nodules: list[Ints]
    others: list[Ints]


def _index(flat: npt.NDArray[np.intp], shape: tuple[int, ...]) -> Ints:
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int16)


class Stacks:
    """Slice stacks of `patch` pixels with their labels, for the segmentation.

    Half of them lie at a nodule, each nodule as often as the next; the others on dense tissue or anywhere in the lungs.
    What lies outside the volume repeats its border and is ignored.
    """

    def __init__(
        self, cache: Cache, entries: Sequence[Entry], card: Card, patch: int, size: int, how: Augmentation, seed: int
    ) -> None:
        self.card, self.patch, self.size, self.how, self.seed = card, patch, size, how, seed
        self.cut = math.ceil(patch * (1 + how.scale) * math.sqrt(2) / 2) * 2 if how.turn else patch
        rng = np.random.default_rng(seed)
        self.scans = [self._scan(cache, entry, rng) for entry in entries]

    def _scan(self, cache: Cache, entry: Entry, rng: np.random.Generator) -> _Scan:
        hu, lungs, label = cache.maps(entry)
        drawn = np.flatnonzero((np.asarray(label) > 0) & (np.asarray(label) != IGNORED))
        number = label.reshape(-1)[drawn]
        inside = np.asarray(lungs) & (np.asarray(label) == 0)
        others = [np.flatnonzero(inside & (np.asarray(hu) > DENSE_HU)), np.flatnonzero(inside)]
        some = [p[rng.integers(0, len(p), PLACES)] for p in others if len(p)]
        index = [_index(drawn[number == k], hu.shape) for k in np.unique(number)], [_index(p, hu.shape) for p in some]
        return _Scan(hu, label, *index)

    def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:
        """((size, slices, patch, patch) HU in the card's window, (size, patch, patch) labels)."""
        rng, generator = generators(self.seed, step, rank)
        hu, label = zip(*(self._stack(rng) for _ in range(self.size)), strict=True)
        x = torch.from_numpy(np.stack(hu)).to(device).float().clamp(*self.card.input.window_hu)
        moves = draw(self.size, self.how, generator)
        truth = torch.from_numpy(np.stack(label))[:, None].to(device).float()
        y = moved(truth, replace(moves, upside=torch.zeros(self.size, dtype=torch.bool)), self.patch, nearest=True)
        x = noisy(moved(x, moves, self.patch), self.how, generator).clamp(*self.card.input.window_hu)
        return x, y[:, 0].to(torch.uint8)

    def _stack(self, rng: np.random.Generator) -> tuple[Ints, npt.NDArray[np.uint8]]:
        scan = self.scans[int(rng.integers(len(self.scans)))]
        kind = rng.random()
        if scan.nodules and (kind < NEAR_NODULE or not scan.others):
            among = scan.nodules[int(rng.integers(len(scan.nodules)))]
        else:
            among = scan.others[0 if kind < NEAR_NODULE + ON_TISSUE else -1]
        jitter = [0, *rng.integers(-self.patch // 4, self.patch // 4 + 1, 2)]
        shape = scan.hu.shape
        i, r, c = np.clip(among[int(rng.integers(len(among)))] + jitter, 0, np.array(shape) - 1).tolist()
        context = self.card.input.context_slices
        slices = np.clip(np.arange(i - context, i + context + 1), 0, shape[0] - 1)
        rows, columns = (np.arange(at - self.cut // 2, at + self.cut // 2) for at in (r, c))
        outside = (rows < 0) | (rows >= shape[1]), (columns < 0) | (columns >= shape[2])
        rows, columns = np.clip(rows, 0, shape[1] - 1), np.clip(columns, 0, shape[2] - 1)
        truth = scan.label[i][np.ix_(rows, columns)]
        truth[outside[0]], truth[:, outside[1]] = IGNORED, IGNORED
        return scan.hu[np.ix_(slices, rows, columns)], truth


CROP_MARGIN_IRC = (4, 14, 14)
"""How much larger than the network's crop a sample is kept, so that it can be turned and shifted: a square's diagonal."""


@dataclass(frozen=True)
class Crops:
    """Crops with room to be moved.

    hu       : (n, scales, *crop + margin) int16
    positive : (n,) bool, the class looked for
    peak     : (n,) float32, the segmentation's highest probability (1 for true centres)
    patient  : (n,) whose
    source   : (n,) "real", "painted" (a copy with painted nodules) or "phantom"
    """

    hu: Ints
    positive: npt.NDArray[np.bool_]
    peak: npt.NDArray[np.float32]
    patient: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]

    @classmethod
    def around(
        cls,
        cache: Cache,
        entry: Entry,
        card: Card,
        centres_irc: npt.NDArray[np.float64],
        positive: npt.NDArray[np.bool_],
        peak: npt.NDArray[np.float32],
    ) -> Crops:
        """Samples of one volume, its border repeated where they reach beyond it."""
        i, r, c = (n + m for n, m in zip(card.input.crop_irc, CROP_MARGIN_IRC, strict=True))
        cut = crops(cache.maps(entry)[0], centres_irc, (i, r, c), card.input.crop_scales, "repeat")
        source = "phantom" if entry.name.startswith("phantom") else "painted" if entry.is_copy else "real"
        return cls(cut, positive, peak, np.full(len(cut), entry.patient), np.full(len(cut), source))

    @classmethod
    def joined(cls, parts: Sequence[Crops]) -> Crops:
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def of(self, rows: npt.NDArray[np.bool_]) -> Crops:
        return Crops(*(getattr(self, field.name)[rows] for field in fields(self)))


class BalancedCrops:
    """Batches of `size` crops for a classifier, half of them positive, within a class by their weight.

    target : (n, 2) probabilities of the two classes in place of the class alone, for readers who do not agree
    """

    def __init__(
        self,
        samples: Crops,
        weight: npt.NDArray[np.float64],
        card: Card,
        size: int,
        how: Augmentation,
        seed: int,
        target: Tensor | None = None,
    ) -> None:
        self.samples, self.card, self.size, self.how, self.seed = samples, card, size, how, seed
        self.target = torch.from_numpy(samples.positive.astype(np.int64)) if target is None else target
        rows = [np.flatnonzero(~samples.positive), np.flatnonzero(samples.positive)]
        self.classes = [(of_class, weight[of_class] / weight[of_class].sum()) for of_class in rows]

    def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:
        """((size, scales, *crop) HU, (size,) int64 or (size, 2) float32)."""
        rng, generator = generators(self.seed, step, rank)
        rows = np.concatenate([rng.choice(of_class, self.size // 2, p=share) for of_class, share in self.classes])
        x = self.cut(rows, rng, draw(len(rows), self.how, generator), device)
        x = noisy(x, self.how, generator).clamp(*self.card.input.window_hu)
        return x, self.target[rows]

    def cut(self, rows: npt.NDArray[np.intp], rng: np.random.Generator, moves: Moves, device: torch.device) -> Tensor:
        """The samples' crops, moved, and some of them boxed."""
        depth, side, _ = self.card.input.crop_irc
        room = CROP_MARGIN_IRC[0] // 2
        up = rng.integers(-room, room + 1, len(rows))
        boxed = rng.random(len(rows)) < BOXED
        shown = []
        for channel, scale in enumerate(self.card.input.crop_scales):
            hu = self.samples.hu[rows, channel]
            for k in np.flatnonzero(boxed):
                hu[k] = _boxed(hu[k], self.card, scale)
            start = room + np.rint(up / scale).astype(int)
            cut = np.stack([one[s : s + depth] for one, s in zip(hu, start, strict=True)])
            x = torch.from_numpy(cut).to(device).float().clamp(*self.card.input.window_hu)
            shown.append(moved(x, moves, side, coarser=scale))
        return torch.stack(shown, dim=1)


def middle(samples: Crops, card: Card, rows: slice = slice(None)) -> Tensor:
    """(n, scales, *crop) HU as the classifier sees them in use: neither moved nor noisy."""
    cut = tuple(slice(m // 2, m // 2 + n) for n, m in zip(card.input.crop_irc, CROP_MARGIN_IRC, strict=True))
    return torch.from_numpy(samples.hu[(rows, slice(None), *cut)].astype(np.float32)).clamp(*card.input.window_hu)


def _boxed(hu: Ints, card: Card, scale: int) -> Ints:
    """The crop with what lies over 25.5 mm from its middle replaced by the border there, as where a cube ends."""
    spacing = card.input.spacing_irc_mm or (1.0, 1.0, 1.0)
    index = []
    for n, mm in zip(hu.shape, spacing, strict=True):
        reach = int(BOX_MM / 2 / (mm * scale))
        index.append(np.clip(np.arange(n), n // 2 - reach, n // 2 + reach))
    return np.asarray(hu[np.ix_(*index)])


@dataclass(frozen=True)
class Turns:
    """Several samplers, a batch of each in turn: volumes of different size need patches of different size."""

    samplers: Sequence[Sampler]

    def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:
        return self.samplers[step % len(self.samplers)].batch(step, rank, device)
