"""What each network learns: segmentation from stacks, nodule from its candidates, malignancy from rated nodules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from lungscan.engines import open_engine
from lungscan.errors import InputRefused, UsageError
from lungscan.malignancy_rules import RULES
from lungscan.networks import graph
from lungscan.networks.modules import classifier, fill, unet
from lungscan.training import crop_files
from lungscan.training.augment import Augmentation
from lungscan.training.cache import Entry
from lungscan.training.candidates import candidate_crops
from lungscan.training.crop_validation import CropValidation
from lungscan.training.data import Data
from lungscan.training.loop import Loss, Validation
from lungscan.training.losses import segmentation_loss
from lungscan.training.run import Run
from lungscan.training.samples import BalancedCrops, Crops, Sampler, Stacks
from lungscan.training.slice_validation import SliceValidation
from lungscan.weights import Tensors

PATCH, STACKS = 96, 12  # pixels of a stack's side, stacks a batch
CROPS = 32  # a batch
CANDIDATES_OVER = 0.1
MOST_NEGATIVES = 20_000  # of all scans together: 2 GB of crops at one scale
DROPOUT = 0.3
SMOOTHING = 0.02


class Judge(Protocol):
    @property
    def best_by(self) -> str:
        """What its score is, in words."""
        ...

    def __call__(self, network: nn.Module) -> Validation: ...


@dataclass(frozen=True)
class Task:
    """One network's training, ready to run. `of` is the digest of the network that it builds on."""

    module: nn.Module
    sampler: Sampler
    loss: Loss
    validate: Judge
    learned_from: str
    of: str = ""


def segmentation(run: Run, data: Data, seed: int) -> Task:
    cell = graph.cell(run.card.segmentation)
    patch = -(-PATCH // cell) * cell
    torch.manual_seed(seed)
    return Task(
        module=unet(run.card),
        sampler=Stacks(data.cache, data.training, run.card, patch, STACKS, Augmentation(), seed),
        loss=segmentation_loss,
        validate=SliceValidation(data.cache, data.validation, data.training, run.card),
        learned_from=f"{len(data.training)} scans, {sum(len(e.nodules) for e in data.training)} nodules",
    )


def nodule(run: Run, data: Data, seed: int) -> Task:
    """Positive: hits and true centres; negative: the segmentation's own false candidates, its surest ones most often."""
    tensors, _ = run.trained("segmentation")
    of = _digest(tensors)

    def make(entries: Sequence[Entry]) -> Crops:
        engine = open_engine(graph.segmentation(run.card, tensors), device="cpu", precision="fp32")
        most = max(MOST_NEGATIVES // len(entries), 1)
        return Crops.joined(
            [_surest(candidate_crops(data.cache, entry, run.card, engine, CANDIDATES_OVER), most) for entry in entries]
        )

    training, validation = _crops(run, data, "nodule", of, make)
    torch.manual_seed(seed)
    module = classifier(run.card, run.card.nodule, DROPOUT, norms=True)
    return _classifier(module, training, validation, run, "nodule", seed, of)


def malignancy(run: Run, data: Data, seed: int) -> Task:
    """The nodule network, with a new head, goes on with rated nodules; the card's rule labels them, or leaves them out."""
    tensors, _ = run.trained("nodule")
    if run.card.malignancy is None or run.card.malignancy != run.card.nodule:
        raise UsageError("the card has no malignancy network of the nodule network's shape, from which it is fine-tuned.")
    of = _digest(tensors)

    def make(entries: Sequence[Entry]) -> Crops:
        rule = RULES[run.card.label_rule]
        parts = []
        for entry in entries:
            labels = [(n.centre_xyz_mm, rule.label(n.ratings)) for n in entry.nodules]
            rated = [(xyz, label) for xyz, label in labels if label is not None]
            centres = entry.grid.irc(np.array([xyz for xyz, _ in rated]).reshape(-1, 3))
            positive = np.array([label for _, label in rated], bool)
            parts.append(Crops.around(data.cache, entry, run.card, centres, positive, np.ones(len(rated), np.float32)))
        return Crops.joined(parts)

    training, validation = _crops(run, data, "malignancy", of, make)
    torch.manual_seed(seed)
    module = classifier(run.card, run.card.malignancy, DROPOUT)
    fill(module, {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")})
    return _classifier(module, training, validation, run, "malignancy", seed, of)


def _classifier(module: nn.Module, training: Crops, validation: Crops, run: Run, network: str, seed: int, of: str) -> Task:
    sampler = BalancedCrops(training, training.peak.astype(np.float64), run.card, CROPS, Augmentation(), seed)
    positives = int(training.positive.sum())
    return Task(
        module=module,
        sampler=sampler,
        loss=nn.CrossEntropyLoss(label_smoothing=SMOOTHING),
        validate=CropValidation(validation, training, run.card, getattr(run.card.thresholds, network)),
        learned_from=f"{positives} positive and {len(training.positive) - positives} negative crops",
        of=of,
    )


def _crops(run: Run, data: Data, network: str, of: str, make: Callable[[Sequence[Entry]], Crops]) -> tuple[Crops, Crops]:
    """Of the training and of the validation entries. Raises InputRefused when a class is missing in training."""
    folder = run.begin(network)
    training = crop_files.held(folder / f"training-{of}-{data.digest}.npz", lambda: make(data.training))
    validation = crop_files.held(folder / f"validation-{of}-{data.digest}.npz", lambda: make(data.validation))
    for wanted, name in ((True, "positive"), (False, "negative")):
        if not (training.positive == wanted).any():
            raise InputRefused(f"the training patients have no {name} crop for the {network} network; prepare more scans.")
    if not len(validation.positive):
        raise InputRefused(f"the validation patients have no crop for the {network} network; prepare more scans.")
    return training, validation


def _surest(crops: Crops, most: int) -> Crops:
    """All positives, and the negatives that the segmentation is surest of."""
    order = np.argsort(np.where(crops.positive, np.inf, crops.peak))[::-1]
    keep = np.zeros(len(order), bool)
    keep[order[: int(crops.positive.sum()) + most]] = True
    return crops.of(keep)


def _digest(tensors: Tensors) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode() + tensors[name].tobytes())
    return total.hexdigest()[:12]
