"""Cross-validation of the shipped networks: in each fold the networks of both stages, and what they have never seen.

The classifier of a fold learns from candidates that the other folds' segmentations found in scans that those had not seen
either: in use it meets nothing easier. Every step keeps its result in the run's folder, so a run that was killed goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lungscan.engines import Engine, open_engine
from lungscan.networks import graph
from lungscan.networks.modules import arrays, classifier, unet
from lungscan.recipe.material import SCANS_BY_FOLD, is_for_ratings, kind
from lungscan.training import crop_files
from lungscan.training.augment import Augmentation
from lungscan.training.cache import Cache, Entry
from lungscan.training.candidates import candidate_crops
from lungscan.training.loop import Plan, train
from lungscan.training.losses import segmentation_loss
from lungscan.training.run import Run
from lungscan.training.samples import BalancedCrops, Crops, Stacks, Turns
from lungscan.weights.card import Card

FOLDS = len(SCANS_BY_FOLD)
ALL = FOLDS
"""In place of a fold: networks that learn from everything, which are the ones that ship."""

MOVES = Augmentation(shift_voxels=2, offset_hu=20)
SEGMENTATION = Plan(steps=6000, rate=3e-3)
NODULE = Plan(steps=4000, rate=2e-3)
DROPOUT, SMOOTHING = 0.3, 0.02

SURE = 0.9
PAINTED_WEIGHT, REAL_WEIGHT, PHANTOM_WEIGHT = 1.0, 3.0, 0.3
SURE_WEIGHT = 2.0  # of false candidates that the segmentation is sure of


@dataclass(frozen=True)
class Recipe:
    """What every step needs. Picklable, so that folds can go to other processes."""

    cache: Cache
    folder: Path
    card: Card

    def run(self, fold: int) -> Run:
        return Run(self.folder / ("all" if fold == ALL else f"fold-{fold}"), self.card)

    def entries(self, fold: int) -> list[Entry]:
        """Those of the fold."""
        return [e for e in self.cache.entries() if fold_of(e) == fold and not is_for_ratings(e)]

    def others(self, fold: int) -> list[Entry]:
        """Those that the fold's networks learn from."""
        return [e for e in self.cache.entries() if fold_of(e) != fold and not is_for_ratings(e)]


def fold_of(entry: Entry) -> int:
    """Every whole scan's patient has a fold of his own; the others are dealt by their names' hash."""
    if entry.patient in SCANS_BY_FOLD:
        return SCANS_BY_FOLD.index(entry.patient)
    return int(hashlib.sha256(entry.patient.encode()).hexdigest(), 16) % FOLDS


def train_segmentation(recipe: Recipe, fold: int) -> None:
    """Whole scans and phantoms in turn with blocks and cubes."""
    run = recipe.run(fold)
    if run.has("segmentation"):
        return
    torch.set_num_threads(1)
    entries, card = recipe.others(fold), recipe.card
    large = [e for e in entries if kind(e) in ("scan", "phantom")]
    small = [e for e in entries if kind(e) in ("block", "cube")]
    sampler = Turns(
        (
            Stacks(recipe.cache, large, card, 96, 8, MOVES, SEGMENTATION.seed),
            Stacks(recipe.cache, small, card, 48, 12, MOVES, SEGMENTATION.seed + 1),
        )
    )
    torch.manual_seed(fold)
    trained = train(unet(card), sampler, segmentation_loss, SEGMENTATION, run.begin("segmentation"))
    run.keep("segmentation", arrays(trained.network), _facts(entries))


def find_candidates(recipe: Recipe, fold: int) -> None:
    """Keep the fold's candidates."""
    candidates(recipe, fold)


def candidates(recipe: Recipe, fold: int) -> Crops:
    """True centres and candidates in all of the fold's entries, found by the segmentation that has not seen them."""

    def make() -> Crops:
        engine = segmentation_engine(recipe, fold)
        over = recipe.card.thresholds.segmentation
        parts = [candidate_crops(recipe.cache, entry, recipe.card, engine, over) for entry in recipe.entries(fold)]
        return Crops.joined([part for part in parts if len(part.positive)])

    return crop_files.held(recipe.run(fold).begin("nodule") / "candidates.npz", make)


def train_nodule(recipe: Recipe, fold: int) -> None:
    run = recipe.run(fold)
    if run.has("nodule"):
        return
    torch.set_num_threads(1)
    crops = Crops.joined([candidates(recipe, other) for other in range(FOLDS) if other != fold])
    sampler = BalancedCrops(crops, weights_of(crops), recipe.card, 32, MOVES, NODULE.seed)
    torch.manual_seed(fold)
    module = classifier(recipe.card, recipe.card.nodule, DROPOUT)
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    trained = train(module, sampler, loss, NODULE, run.begin("nodule"))
    run.keep("nodule", arrays(trained.network), _facts(recipe.others(fold)))


def weights_of(crops: Crops) -> npt.NDArray[np.float64]:
    """How often each crop is drawn within its class: real places more than painted ones, phantoms seldom."""
    of_kind = {"real": REAL_WEIGHT, "painted": PAINTED_WEIGHT, "phantom": PHANTOM_WEIGHT}
    weight = np.array([of_kind[source] for source in crops.source])
    weight[~crops.positive & (crops.peak > SURE)] *= SURE_WEIGHT
    return weight


def segmentation_engine(recipe: Recipe, fold: int) -> Engine:
    tensors, _ = recipe.run(fold).trained("segmentation")
    return open_engine(graph.segmentation(recipe.card, tensors))


def _facts(entries: Sequence[Entry]) -> dict[str, object]:
    return {"trained_on": sorted({entry.series for entry in entries})}
