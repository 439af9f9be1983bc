"""The card's figures: folds between patients, operating points counted by hand, lines against maximum likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from lungscan.evaluation.calibration import fit_line
from lungscan.findings import Candidate
from lungscan.recipe import malignancy
from lungscan.recipe.folds import FOLDS, fold_of
from lungscan.recipe.material import SCANS_BY_FOLD, is_for_ratings, is_real, kind
from lungscan.recipe.shipping import Held, fit_nodule, operating_points
from lungscan.training.cache import Entry, Nodule
from tests.evaluation.hand_made import candidate, nodule, scan

AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def entry(name: str, patient: str) -> Entry:
    return Entry(name, patient, "0", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXES, (1, 1, 1), ())


def test_every_whole_scan_has_a_fold_of_its_own_and_copies_stay_with_their_patient() -> None:
    folds = [fold_of(entry(name, name)) for name in SCANS_BY_FOLD]
    assert sorted(folds) == list(range(FOLDS))
    assert {fold_of(entry(f"cube-7{mark}", "cube-7")) for mark in ("", "+0", "+1")} == {fold_of(entry("cube-7", "cube-7"))}
    dealt = np.bincount([fold_of(entry(f"p{k}", f"p{k}")) for k in range(500)], minlength=FOLDS)
    assert dealt.min() > 70


def test_kinds_of_entries() -> None:
    assert [kind(entry(n, n)) for n in ("A0001", "A0001+3", "block-X_0", "cube-9+1", "phantom-20-3")] == [
        "scan",
        "scan",
        "block",
        "cube",
        "phantom",
    ]
    assert [is_real(entry(n, n)) for n in ("A0001", "A0001+3", "cube-9", "phantom-20-3")] == [True, False, True, False]
    assert [is_for_ratings(entry(n, n)) for n in ("A0001+m3", "A0001+3", "A0001")] == [True, False, False]


def test_operating_points_counted_by_hand() -> None:
    """Two scans with false marks at .9 .8 .7 and .6 .3; nodules found at .95, .75 and .1, and one in a block at .65."""
    a = scan("a", [nodule(0, 10), nodule(100, 10)], [candidate(0, 0.95), candidate(100, 0.75), *_false(0.9, 0.8, 0.7)])
    b = scan("b", [nodule(0, 10)], [candidate(0, 0.1), *_false(0.6, 0.3)])
    block = scan("c", [nodule(0, 10)], [candidate(0, 0.65), *_false(0.99)])  # its false marks do not count
    held = [Held(a, "scan", 0), Held(b, "scan", 1), Held(block, "block", 2)]
    points = {p.fp_per_scan: p for p in operating_points(held)}
    # none allowed: over .9; one in two scans: over .8; two: over .7
    assert [round(points[rate].threshold_nodule, 6) for rate in (0.0, 0.5, 1.0, 2.0)] == [0.9, 0.8, 0.7, 0.3]
    assert [points[rate].sensitivity for rate in (0.0, 0.5, 1.0, 2.0)] == [1 / 4, 1 / 4, 2 / 4, 3 / 4]
    assert list(points) == sorted(points)


def _false(*scores: float) -> list[Candidate]:
    return [candidate(500.0 + 50 * k, p) for k, p in enumerate(scores)]


def test_the_line_is_the_maximum_of_the_likelihood() -> None:
    """Against a general minimiser, without Platt's targets: so many rows that they do not matter."""
    rng = np.random.default_rng(0)
    design = np.column_stack([rng.normal(size=(4000, 2)), np.ones(4000)])
    positive = rng.random(4000) < 1 / (1 + np.exp(-design @ [1.5, -0.7, -1.0]))
    weight = rng.uniform(0.5, 2, 4000)

    def loss(line: np.ndarray) -> float:
        value = design @ line
        return float(weight @ (np.logaddexp(0, value) - positive * value))

    best = minimize(loss, np.zeros(3)).x
    np.testing.assert_allclose(fit_line(design, positive, weight), best, atol=0.02)


def test_false_marks_of_blocks_do_not_calibrate() -> None:
    rng = np.random.default_rng(1)
    scans = [
        scan(
            f"s{k}",
            [nodule(0, 10)],
            [candidate(0, float(rng.uniform(0.3, 1))), *_false(*rng.uniform(0, 0.6, 20))],
        )
        for k in range(20)
    ]
    held = [Held(s, "scan", k % FOLDS) for k, s in enumerate(scans)]
    block = Held(scan("b", [], _false(*rng.uniform(0.9, 1, 50))), "block", 0)
    assert fit_nodule(held) == fit_nodule([*held, block])
    line = fit_nodule(held)
    p = [line(c.p_nodule or 0, c.p_segmentation, c.diameter_mm) for s in scans for c in s.candidates]
    assert np.mean(p) == pytest.approx(20 / 420, rel=0.2)  # the mean probability is the share


def rated(p: np.ndarray, diameter: np.ndarray, malignant: np.ndarray) -> malignancy.Rated:
    count = len(p)
    return malignancy.Rated(p, diameter, malignant, np.arange(count).astype(str), np.arange(count) % FOLDS)


def test_a_network_that_knows_nothing_is_not_better_than_the_diameter() -> None:
    rng = np.random.default_rng(2)
    diameter = rng.uniform(4, 30, 300)
    malignant = rng.random(300) < 1 / (1 + np.exp(-(diameter - 14) / 3))
    blind = rated(rng.random(300), diameter, malignant)
    knowing = rated(np.where(malignant, 0.8, 0.3) + rng.uniform(-0.3, 0.2, 300), diameter, malignant)
    assert malignancy.is_better(malignancy.beside_diameter(knowing))
    assert malignancy.fit(blind, with_network=False).network == 0
    assert abs(malignancy.fit(blind).network) < 0.2 < malignancy.fit(knowing).network
    (diameter_alone,) = malignancy.beside_diameter(blind).beside
    assert diameter_alone.difference.value < 0.02


def test_a_nodule_s_own_fold_does_not_fit_its_line() -> None:
    rng = np.random.default_rng(3)
    held = rated(rng.random(100), rng.uniform(4, 30, 100), rng.random(100) < 0.5)
    other = replace(held, malignant=np.where(held.fold == 0, ~held.malignant, held.malignant))
    here = held.fold == 0
    np.testing.assert_array_equal(malignancy.cross_fitted(held)[here], malignancy.cross_fitted(other)[here])
    assert not np.array_equal(malignancy.cross_fitted(held)[~here], malignancy.cross_fitted(other)[~here])


@pytest.mark.parametrize(
    ("ratings", "expected"), [((5,), True), ((3,), False), ((4, 2), True), ((4, 2, 3), False), ((5, 4, 1, 2), True)]
)
def test_half_of_the_readers(ratings: tuple[int, ...], expected: bool) -> None:
    assert malignancy.malignant(Nodule((0.0, 0.0, 0.0), 10.0, ratings)) is expected
