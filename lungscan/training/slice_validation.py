"""How well a segmentation network does on slices of validation patients, and beside them on slices it has learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lungscan.evaluation.overlays import overlay
from lungscan.training import devices
from lungscan.training.cache import IGNORED, Cache, Entry
from lungscan.training.loop import Validation
from lungscan.training.losses import segmentation_loss
from lungscan.training.metrics import Counts, Marks, marked, marks
from lungscan.weights.card import Card

MOST_SLICES = {"validation": 384, "training": 96}
PER_NODULE, PER_SCAN = 3, 12  # slices through a nodule, and others through the lungs
PICTURES = 4
GRAIN = 64
"""Sides are filled up to multiples of so many pixels, the coarsest cell of any card: each new shape costs a compilation."""

T = TypeVar("T")


@dataclass(frozen=True)
class Slice:
    """One slice to look at: HU of the stack (slices,R,C) in the window, label and lungs (R,C)."""

    hu: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]
    lungs: npt.NDArray[np.bool_]


class SliceValidation:
    """Score: the share of nodules that are marked at 1/8 to 1 false marks a slice (`metrics.marked`), then voxels' F1.

    Called with a network that gives logits. Voxels count as found at the card's threshold; ignored ones count nowhere.
    """

    best_by = "share of nodules marked at 1/8 to 1 false marks a slice, then F1 of voxels, on validation slices"

    def __init__(self, cache: Cache, validation: Sequence[Entry], training: Sequence[Entry], card: Card) -> None:
        self.cache, self.card = cache, card
        sets = {"validation": validation, "training": training}
        self.sets = {name: _places(cache, entries, MOST_SLICES[name]) for name, entries in sets.items()}

    def __call__(self, network: nn.Module) -> Validation:
        figures: dict[str, float] = {}
        curves, pictures = {}, {}
        for name, places in self.sets.items():
            found: list[Marks] = []
            counts, losses = Counts(0, 0, 0, 0), []
            shown = np.linspace(0, len(places) - 1, PICTURES).astype(int)
            for k, (entry, i) in enumerate(places):
                one = self._slice(entry, i)
                p, loss = self._p(network, one)
                over, truth, counted = p > self.card.thresholds.segmentation, _nodule(one.label), one.label != IGNORED
                found.append(marks(p, one.label, one.lungs))
                counts += Counts.of(over[counted], truth[counted])
                losses.append(loss)
                if name == "validation" and k in shown:
                    pictures[f"{name}/{entry.name} slice {i}"] = overlay(one.hu[len(one.hu) // 2], over, truth)
            all_figures = {"marked": marked(found), **counts.figures(), "loss": float(np.mean(losses))}
            figures |= {f"{name}/{figure}": value for figure, value in all_figures.items()}
            scores = [np.concatenate([getattr(r, part) for r in found]) for part in ("nodules", "false")]
            curves[f"{name} marks"] = (np.concatenate(scores), np.repeat([True, False], [len(s) for s in scores]))
        return Validation((figures["validation/marked"], figures["validation/F1"]), figures, curves, pictures)

    def _slice(self, entry: Entry, i: int) -> Slice:
        hu, lungs, label = self.cache.maps(entry)
        context, window = self.card.input.context_slices, self.card.input.window_hu
        stack = hu[np.clip(np.arange(i - context, i + context + 1), 0, len(hu) - 1)]
        return Slice(np.clip(stack, *window).astype(np.float32), np.asarray(label[i]), np.asarray(lungs[i]))

    def _p(self, network: nn.Module, one: Slice) -> tuple[npt.NDArray[np.float32], float]:
        """Probabilities (R,C) and the loss."""
        beyond = [(0, -n % GRAIN) for n in one.label.shape]
        x = np.pad(one.hu, [(0, 0), *beyond], constant_values=self.card.input.window_hu[0])
        label = np.pad(one.label, beyond, constant_values=IGNORED)
        device = next(network.parameters()).device
        with torch.inference_mode(), devices.autocast(device):
            logits: Tensor = network(devices.moved(torch.from_numpy(x)[None], device)).float()
            loss = segmentation_loss(logits, torch.from_numpy(label)[None].to(device))
        rows, columns = one.label.shape
        return torch.sigmoid(logits)[0, 0, :rows, :columns].cpu().numpy(), float(loss)


def _places(cache: Cache, entries: Sequence[Entry], most: int) -> list[tuple[Entry, int]]:
    """Slices through each nodule and through the lungs, at most so many of them, evenly thinned."""
    places = [(entry, i) for entry in _thinned(entries, most) for i in _slices(cache, entry)]
    return _thinned(places, most)


def _thinned(some: Sequence[T], most: int) -> list[T]:
    return [some[k] for k in np.linspace(0, len(some) - 1, min(len(some), most)).round().astype(int)]


def _slices(cache: Cache, entry: Entry) -> list[int]:
    _, lungs, label = cache.maps(entry)
    chosen = set(_spread(np.flatnonzero(lungs.any(axis=(1, 2))), PER_SCAN))
    for number in range(1, len(entry.nodules) + 1):
        chosen |= set(_spread(np.flatnonzero((label == number).any(axis=(1, 2))), PER_NODULE))
    return sorted(chosen)


def _spread(slices: npt.NDArray[np.intp], count: int) -> Iterator[int]:
    """So many of them at equal distances, none at the very end; fewer where there are fewer."""
    for k in range(count if len(slices) else 0):
        yield int(slices[int((k + 0.5) / count * len(slices))])


def _nodule(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((label > 0) & (label != IGNORED))
