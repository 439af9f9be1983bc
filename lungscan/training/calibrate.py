"""A trained weights file's card completed on the validation patients: probabilities that come true, and operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lungscan import weights
from lungscan.evaluation.cases import cached
from lungscan.evaluation.fitting import best_at, calibrated, fit_malignancy, fit_nodule, operating_points
from lungscan.evaluation.judged import Judged, judged
from lungscan.evaluation.run import look
from lungscan.malignancy_rules import RULES
from lungscan.pipeline import Networks
from lungscan.settings import Settings
from lungscan.stages import Progress
from lungscan.weights.card import Calibration, Card

FP_PER_SCAN = 1.0
"""The rate whose threshold becomes the card's own."""

LEAST = 10
"""Of each class. A line has up to four coefficients: fitted on fewer it would tell of these nodules alone."""


def calibrate(path: Path, cache: Path, progress: Progress) -> None:
    """Fit lines and operating points on what the weights file at `path` finds in the cache's validation patients, and write
    it again with them in its card. What has too few of a class stays a score, and the threshold with it; the card says so.
    """
    loaded = weights.load(path)
    networks = Networks.open(Settings(weights=path))
    scans = []
    cases = cached(cache, loaded.card, "validation", "*").cases
    for done, case in enumerate(cases):
        progress("calibrate", done, len(cases))
        opened = case.open()
        heatmap, candidates = look(opened, networks)
        scans.append(judged(case, opened, heatmap, candidates, loaded.card.thresholds))
    progress("calibrate", len(cases), len(cases))
    tensors = {"segmentation": loaded.segmentation, "nodule": loaded.nodule, "malignancy": loaded.malignancy}
    weights.save(path, completed(loaded.card, scans), {name: part for name, part in tensors.items() if part is not None})


def completed(card: Card, scans: Sequence[Judged]) -> Card:
    """The card with what its networks found in scans that they had not learned from."""
    nodule = _nodule_line(scans)
    shown = scans if nodule is None else [calibrated(scan, nodule) for scan in scans]
    points = operating_points(shown)
    at = None if nodule is None else best_at(points, FP_PER_SCAN)
    malignancy = _malignancy_line(card, scans)
    lines = [name for name, line in (("P(nodule)", nodule), ("P(malignant)", malignancy)) if line is not None]
    said = f"{' and '.join(lines)}: logistic lines fitted on the {len(scans)} validation scans." if lines else ""
    scores = f"Fewer than {LEAST} nodules or others: {'the rest is' if lines else 'probabilities are'} a score, not a share."
    return replace(
        card,
        thresholds=card.thresholds if at is None else replace(card.thresholds, nodule=at.threshold_nodule),
        nodule_calibration=nodule,
        malignancy_calibration=malignancy,
        operating_points=points,
        about=card.about | {"calibration": said if len(lines) == 2 else f"{said} {scores}".strip()},
    )


def _nodule_line(scans: Sequence[Judged]) -> Calibration | None:
    right = sum(int(scan.hits.any(axis=0).sum()) for scan in scans)
    false = sum(int(scan.false.sum()) for scan in scans)
    return fit_nodule(scans) if min(right, false) >= LEAST else None


def _malignancy_line(card: Card, scans: Sequence[Judged]) -> Calibration | None:
    """On the rated nodules that have a candidate, by the card's rule."""
    rule = RULES[card.label_rule]
    rows = [
        (best.p_malignant, best.diameter_mm, label)
        for scan in scans
        for nodule, best in zip(scan.nodules, scan.best, strict=True)
        if best is not None and best.p_malignant is not None and (label := rule.label(nodule.ratings)) is not None
    ]
    p, diameter, labels = np.array(rows, dtype=float).reshape(-1, 3).T
    malignant = labels > 0
    few = min(int(malignant.sum()), int((~malignant).sum())) < LEAST
    return None if few else fit_malignancy(p, diameter, malignant)
