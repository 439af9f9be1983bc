"""What the folds' networks find in patients that they have not seen, and the calibration that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungscan import weights
from lungscan.evaluation.cases import Case, cached
from lungscan.evaluation.fitting import calibrated, fit_nodule
from lungscan.evaluation.judged import Judged, judged
from lungscan.evaluation.run import look
from lungscan.pipeline import Networks
from lungscan.recipe.folds import FOLDS, Recipe
from lungscan.recipe.material import is_real, kind
from lungscan.settings import Settings
from lungscan.weights.card import Calibration, Card

NETWORKS = ("segmentation", "nodule", "malignancy")
KINDS = ("scan", "block", "cube")
"""Of what is real: whole scans, blocks of about 60 mm around nodules, cubes of 51 mm."""


@dataclass(frozen=True)
class Held:
    """A scan, block or cube as its fold's networks judged it, who had not seen the patient."""

    scan: Judged
    kind: str
    fold: int


def write_fold(recipe: Recipe, fold: int, card: Card, path: Path) -> None:
    """The fold's networks as a weights file."""
    run = recipe.run(fold)
    weights.save(path, card, {network: run.trained(network)[0] for network in NETWORKS if run.has(network)})


def held_out(recipe: Recipe) -> list[Held]:
    """Every real scan, block and cube, by the fold that left it out; probabilities as the networks say them."""
    real = {e.name: e for e in recipe.cache.entries() if is_real(e)}
    cases = [case for case in cached(recipe.cache.folder, recipe.card, "all", "*").cases if case.name in real]
    fold_by_name = {e.name: fold for fold in range(FOLDS) for e in recipe.entries(fold)}
    out: list[Held] = []
    for fold in range(FOLDS):
        path = recipe.run(fold).folder / "weights.safetensors"
        write_fold(recipe, fold, recipe.card, path)
        networks = Networks.open(Settings(weights=path))
        for case in cases:
            if fold_by_name[case.name] == fold:
                out.append(Held(_judged(case, networks), kind(real[case.name]), fold))
    return out


def _judged(case: Case, networks: Networks) -> Judged:
    opened = case.open()
    heatmap, candidates = look(opened, networks)
    return judged(case, opened, heatmap, candidates, networks.weights.card.thresholds)


def of_kinds(held: Sequence[Held], *kinds: str) -> list[Judged]:
    return [h.scan for h in held if h.kind in kinds]


def fit(held: Sequence[Held]) -> Calibration:
    """The line for P(nodule) of scans, blocks and cubes."""
    return fit_nodule(of_kinds(held, "scan"), of_kinds(held, "block", "cube"))


def cross_calibrated(held: Sequence[Held]) -> list[Held]:
    """Every fold calibrated by what was found in the other folds."""
    by_fold = {fold: fit([h for h in held if h.fold != fold]) for fold in range(FOLDS)}
    return [replace(h, scan=calibrated(h.scan, by_fold[h.fold])) for h in held]
