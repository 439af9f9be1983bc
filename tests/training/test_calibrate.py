"""The card after validation: what it says comes true among the scans that it was fitted on, and few nodules fit nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungscan.evaluation.judged import Judged
from lungscan.training.calibrate import LEAST, completed
from tests.evaluation.hand_made import candidate, nodule, scan
from tests.support import small_card

CARD = replace(small_card(), about={"calibration": "None", "split": "kept"})


def scans(count: int, rng: np.random.Generator) -> list[Judged]:
    """One nodule a scan, every other one malignant, and four false marks, all with scores twice too sure."""
    out = []
    for k in range(count):
        malignant = k % 2 == 0
        right = candidate(
            0, float(rng.uniform(0.6, 1)), 8.0, float(rng.uniform(0.4, 1) if malignant else rng.uniform(0, 0.6))
        )
        false = [candidate(500.0 + 50 * j, float(rng.uniform(0.3, 0.9))) for j in range(4)]
        out.append(scan(f"s{k}", [nodule(0, 10, *([5, 5, 4, 1] if malignant else [1, 2, 2, 3]))], [right, *false]))
    return out


def test_what_is_shown_comes_true_and_the_threshold_keeps_to_one_false_mark_a_scan() -> None:
    some = scans(60, np.random.default_rng(0))
    card = completed(CARD, some)
    assert card.nodule_calibration is not None
    assert card.malignancy_calibration is not None
    shown = [(card.nodule_calibration(c.p_nodule, c.p_segmentation, c.diameter_mm), c) for s in some for c in s.candidates]
    assert np.mean([p for p, _ in shown]) == pytest.approx(60 / 300, rel=0.15)
    right = {c.centre_xyz_mm for s in some for c in s.candidates if c.centre_xyz_mm[0] == 0}
    false = sum(p >= card.thresholds.nodule and c.centre_xyz_mm not in right for p, c in shown)
    assert 55 <= false <= 60
    at_one = next(p for p in card.operating_points if p.fp_per_scan == 1)
    assert at_one.threshold_nodule == card.thresholds.nodule
    suspicious = [card.malignancy_calibration(c.p_malignant, 0.5, c.diameter_mm) for s in some for c in s.candidates[:1]]
    assert np.mean(suspicious) == pytest.approx(0.5, abs=0.03)
    assert card.about["calibration"].startswith("P(nodule) and P(malignant)")
    assert card.about["split"] == "kept"


def test_few_nodules_leave_scores_as_they_are() -> None:
    card = completed(CARD, scans(LEAST - 1, np.random.default_rng(1)))
    assert (card.nodule_calibration, card.malignancy_calibration) == (None, None)
    assert card.thresholds == CARD.thresholds
    assert "a score, not a share" in card.about["calibration"]
    card = completed(CARD, scans(LEAST, np.random.default_rng(1)))  # ten nodules, five of them malignant
    assert card.nodule_calibration is not None
    assert card.malignancy_calibration is None
    assert "P(nodule): logistic" in card.about["calibration"]
    assert "the rest is a score" in card.about["calibration"]


def test_without_false_marks_the_threshold_stays() -> None:
    """No threshold lets a false mark through, so none is told."""
    clean = [replace(s, candidates=s.candidates[:1]) for s in scans(12, np.random.default_rng(2))]
    card = completed(CARD, clean)
    assert card.operating_points == ()
    assert card.thresholds == CARD.thresholds
