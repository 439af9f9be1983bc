"""From the folds' networks to a card: what they find in patients that they have not seen, calibration, operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lungscan import weights
from lungscan.evaluation.calibration import fit_line, logit
from lungscan.evaluation.cases import Case, cached
from lungscan.evaluation.froc import RATES
from lungscan.evaluation.judged import Judged, judged, p_nodule
from lungscan.evaluation.run import look
from lungscan.findings import Candidate
from lungscan.pipeline import Networks
from lungscan.recipe.folds import FOLDS, Recipe
from lungscan.recipe.material import is_real, kind
from lungscan.settings import Settings
from lungscan.volume import Array
from lungscan.weights.card import Calibration, Card, OperatingPoint

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


def fit_nodule(held: Sequence[Held]) -> Calibration:
    """The line for P(nodule): right candidates of scans, blocks and cubes against false ones of whole scans.

    Both classes weigh alike in the fit; then the offset takes the odds that a candidate met in a whole scan is right, as in
    a case-control study (Prentice and Pyke 1979), since blocks and cubes were cut out for their nodules.
    """
    rows: list[tuple[Candidate, bool, bool]] = []
    for h in held:
        right = np.asarray(h.scan.hits.any(axis=0))
        for c, hit, wrong in zip(h.scan.candidates, right.tolist(), h.scan.false.tolist(), strict=True):
            if hit or (wrong and h.kind == "scan"):
                rows.append((c, hit, h.kind == "scan"))
    positive = np.array([hit for _, hit, _ in rows])
    in_scans = np.array([in_scan for *_, in_scan in rows])
    weight = np.where(positive, (~positive).sum() / positive.sum(), 1.0)
    line = fit_line(_features([c for c, *_ in rows], [c.p_nodule or 0.0 for c, *_ in rows]), positive, weight)
    line[-1] += np.log((positive & in_scans).sum() / (~positive).sum())
    return Calibration(*line.tolist())


def _features(candidates: Sequence[Candidate], p: Sequence[float]) -> Array:
    """(N, 4) as `Calibration` has them."""
    peak = [c.p_segmentation for c in candidates]
    size = np.log(np.maximum([c.diameter_mm for c in candidates], 1.0) / 10)
    return np.stack([logit(np.asarray(p)), logit(np.asarray(peak)), size, np.ones(len(size))], axis=1)


def calibrated(scan: Judged, nodule: Calibration) -> Judged:
    """The scan with calibrated P(nodule)."""
    return replace(
        scan,
        candidates=tuple(replace(c, p_nodule=nodule(p_nodule(c), c.p_segmentation, c.diameter_mm)) for c in scan.candidates),
    )


def cross_calibrated(held: Sequence[Held]) -> list[Held]:
    """Every fold calibrated by what was found in the other folds."""
    by_fold = {fold: fit_nodule([h for h in held if h.fold != fold]) for fold in range(FOLDS)}
    return [replace(h, scan=calibrated(h.scan, by_fold[h.fold])) for h in held]


def operating_points(held: Sequence[Held]) -> tuple[OperatingPoint, ...]:
    """For each of LUNA16's rates the lowest threshold that keeps to it on the whole scans, and the share of all real
    nodules of scans and blocks that are found there."""
    scans = [h.scan for h in held if h.kind == "scan"]
    nodules = [h.scan for h in held if h.kind in ("scan", "block")]
    false = np.sort([p_nodule(c) for scan in scans for c in scan.false_positives(0.0)])[::-1]
    out = []
    for rate in RATES:
        allowed = int(rate * len(scans))
        if allowed >= len(false):
            break
        threshold = float(np.nextafter(false[allowed], 1))
        found = np.concatenate([scan.found(threshold) for scan in nodules])
        out.append(OperatingPoint(allowed / len(scans), threshold, float(found.mean())))
    return tuple({point.fp_per_scan: point for point in out}.values())
