"""The figures of hand-made scans, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lungscan.errors import InputRefused
from lungscan.evaluation.model import Figures, judge
from lungscan.findings import Thresholds
from tests.evaluation.hand_made import candidate, nodule, scan

THRESHOLDS = Thresholds(segmentation=0.5, nodule=0.6, malignancy=0.5)

SCANS = [
    scan(
        "a",
        [nodule(0, 10, 5, 4), nodule(100, 5, 1, 1)],
        [
            candidate(1, 0.9, 11, 0.8),  # hit
            candidate(2, 0.7, 3, 0.1),  # hits the same nodule: neither counted again nor false
            candidate(101, 0.3, 6, 0.2),  # hit, under the threshold
            candidate(50, 0.8, 7),  # false
            candidate(70, 0.95, 22),  # in an ignored finding
        ],
        ignored=[nodule(72, 6)],
    ),
    scan(
        "b",
        [nodule(0, 40, 4, 4), nodule(200, 8, 2)],
        [candidate(-3, 0.65, 32, 0.6), candidate(202, 0.85, 9, 0.7), candidate(60, 0.2, 4), candidate(80, 0.61, 35)],
    ),
    scan("c", [nodule(0, 25)], [candidate(12.5, 0.99, 12)]),  # on the surface: a miss, and false
]


@pytest.fixture(scope="module")
def figures() -> Figures:
    return judge(SCANS, THRESHOLDS, "two-of-four")


def test_counts_at_the_thresholds(figures: Figures) -> None:
    at = figures.operating
    assert (figures.scans, figures.patients) == (3, 3)
    assert (at.nodules, at.found, at.false_positives) == (5, 3, 3)
    assert at.sensitivity.value == 3 / 5
    assert at.fp_per_scan.value == 1


def test_counts_by_size(figures: Figures) -> None:
    """5 mm missed; 8 found; 10 found; 25 missed; 40 found. False ones measure 7, 35 and 12 mm."""
    rows = [(s.least_mm, s.found, s.nodules, s.false_positives) for s in figures.operating.sizes]
    assert rows == [(0, 0, 1, 0), (6, 1, 1, 1), (10, 1, 1, 1), (20, 0, 1, 0), (30, 1, 1, 1)]


def test_the_scans_drawn_give_the_interval() -> None:
    """Of two scans, one found whole and one missed whole, a quarter of the draws is each one alone."""
    result = judge([scan("a", [nodule(0, 9)], [candidate(0, 0.9)]), scan("b", [nodule(0, 9)], [])], THRESHOLDS, "any")
    assert (result.operating.sensitivity.value, result.operating.sensitivity.interval) == (0.5, (0, 1))
    assert result.operating.fp_per_scan.interval == (0, 0)


def test_froc_ranks_every_candidate_by_p_nodule(figures: Figures) -> None:
    """Down the scores: .99 false, .9 hit, .85 hit, .8 false, .65 hit, .61 false, .3 hit, .2 false; 5 nodules, 3 scans."""
    assert figures.froc.thresholds[-1] == 0.2
    # rates allow 3/8, 3/4, 3/2, 3, 6, 12, 24 false ones; the curve rises from (1, 0) to (1, 2/5) and (2, 2/5) to (2, 3/5)
    assert figures.froc.sensitivities == pytest.approx([0, 0, 2 / 5, 4 / 5, 4 / 5, 4 / 5, 4 / 5])
    assert figures.froc.counts.ignored_on_excluded == 1
    assert figures.froc.counts.double_detections_ignored == 1


def test_the_nodule_roc_takes_what_is_right_or_wrong(figures: Figures) -> None:
    """Right: .9 .7 .3 .65 .85 (11, 3, 6, 32, 9 mm); wrong: .8 .2 .61 .99 (7, 4, 35, 12 mm)."""
    right, wrong = np.array([0.9, 0.7, 0.3, 0.65, 0.85]), np.array([0.8, 0.2, 0.61, 0.99])
    assert figures.nodule is not None
    assert (figures.nodule.positives, figures.nodule.negatives, figures.nodule.patients) == (5, 4, 3)
    assert figures.nodule.auc.value == pytest.approx((right[:, None] > wrong).mean())
    (size,) = figures.nodule.beside
    by_size = (np.array([11, 3, 6, 32, 9])[:, None] > np.array([7, 4, 35, 12])).mean()
    assert (size.name, size.auc.value) == ("measured diameter", pytest.approx(by_size))
    assert size.difference.value == pytest.approx(figures.nodule.auc.value - by_size)


def test_brier_and_the_share_that_is_always_said(figures: Figures) -> None:
    assert figures.nodule is not None
    right, wrong = np.array([0.9, 0.7, 0.3, 0.65, 0.85]), np.array([0.8, 0.2, 0.61, 0.99])
    assert figures.nodule.brier == pytest.approx((((1 - right) ** 2).sum() + (wrong**2).sum()) / 9)
    assert figures.nodule.brier_of_share == pytest.approx(5 / 9 * 4 / 9)
    assert figures.nodule.reliability.count.sum() == 9


def test_the_malignancy_roc_takes_marked_and_rated_nodules(figures: Figures) -> None:
    """Malignant: .8 (10 mm, measured 11) and .6 (40, 32); benign: .2 (5, 6) and .7 (8, 9). The unrated one is left out."""
    malignancy = figures.malignancy
    assert malignancy is not None
    assert (malignancy.positives, malignancy.negatives) == (2, 2)
    assert malignancy.auc.value == 3 / 4
    beside = {b.name: (b.auc.value, b.difference.value) for b in malignancy.beside}
    assert beside == {"annotated diameter": (1, -1 / 4), "measured diameter": (1, -1 / 4)}


def test_the_rule_decides_who_is_malignant() -> None:
    scans = [scan(n, [nodule(0, 9, *r)], [candidate(0, 0.9, p_malignant=p)]) for n, r, p in RATED]
    by_rule = {rule: judge(scans, THRESHOLDS, rule).malignancy for rule in ("any", "two-of-four", "majority", "mean")}
    counts = {rule: (m.positives, m.negatives) for rule, m in by_rule.items() if m is not None}
    assert counts == {"any": (3, 1), "two-of-four": (2, 2), "majority": (1, 3), "mean": (1, 2)}


RATED = [("a", (5, 5, 5), 0.9), ("b", (4, 4, 2, 2), 0.5), ("c", (4, 1, 1), 0.4), ("d", (1,), 0.1)]


def test_diameters_of_found_nodules(figures: Figures) -> None:
    """11 for 10, 32 for 40, 9 for 8: errors +.1, -.2, +.125."""
    errors = [0.1, -0.2, 0.125]
    mean = sum(errors) / 3
    deviation = math.sqrt(sum((e - mean) ** 2 for e in errors) / 2)
    assert figures.diameters is not None
    assert figures.diameters.nodules == 3
    assert figures.diameters.median_absolute.value == pytest.approx(0.125)
    assert figures.diameters.bias == pytest.approx(mean)
    assert figures.diameters.limits == pytest.approx((mean - 1.96 * deviation, mean + 1.96 * deviation))


def test_every_nodule_and_every_false_positive_is_listed(figures: Figures) -> None:
    assert [(n.scan, n.found, n.p_nodule, n.measured_mm) for n in figures.nodules] == [
        ("a", True, 0.9, 11),
        ("a", False, 0.3, 6),
        ("b", True, 0.65, 32),
        ("b", True, 0.85, 9),
        ("c", False, None, None),
    ]
    assert [(f.scan, f.p_nodule) for f in figures.false_positives] == [("a", 0.8), ("b", 0.61), ("c", 0.99)]


def test_patients_are_drawn_whole() -> None:
    """The same scans as one patient's: each draw is all of them, so the intervals close."""
    one = [scan(s.name, s.nodules, s.candidates, s.ignored, patient="p") for s in SCANS]
    result = judge(one, THRESHOLDS, "two-of-four")
    assert result.patients == 1
    assert result.nodule is not None
    assert result.nodule.auc.interval == (result.nodule.auc.value, result.nodule.auc.value)
    assert result.diameters is not None
    assert result.diameters.median_absolute.interval == pytest.approx((0.125, 0.125))


def test_what_cannot_be_judged_is_none() -> None:
    result = judge([scan("a", [nodule(0, 9, 5, 5)], [])], THRESHOLDS, "two-of-four")
    assert (result.nodule, result.malignancy, result.diameters) == (None, None, None)
    assert result.froc.cpm == 0


def test_scans_without_a_nodule_have_no_figures() -> None:
    with pytest.raises(InputRefused, match="2 scans that are judged hold no nodule"):
        judge([scan("a", [], [candidate(0, 0.9)]), scan("b", [], [])], THRESHOLDS, "any")


def test_a_score_in_the_diameters_order_is_neither_better_nor_worse_in_any_draw() -> None:
    rng = np.random.default_rng(0)
    scans = []
    for k, mm in enumerate(rng.uniform(5, 30, 40)):
        ratings = (5, 5) if rng.random() < mm / 30 else (1, 1)
        measured = mm * rng.uniform(0.7, 1.3)
        scans.append(scan(str(k), [nodule(0, mm, *ratings)], [candidate(0, 0.9, measured, mm / 31)]))
    malignancy = judge(scans, THRESHOLDS, "two-of-four").malignancy
    assert malignancy is not None
    annotated, measured = malignancy.beside
    assert (annotated.difference.value, annotated.difference.interval) == (0, (0, 0))
    assert measured.difference.value == pytest.approx(malignancy.auc.value - measured.auc.value)
    assert measured.difference.interval[0] <= measured.difference.value <= measured.difference.interval[1]
