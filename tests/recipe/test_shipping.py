"""The card's figures: folds between patients, operating points counted by hand, lines against maximum likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungscan.recipe import malignancy
from lungscan.recipe.folds import FOLDS, fold_of
from lungscan.recipe.material import SCANS_BY_FOLD, is_for_ratings, is_real, kind
from lungscan.training.cache import Entry, Nodule

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
