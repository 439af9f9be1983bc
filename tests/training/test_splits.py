"""Splits: between patients, over all sizes, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from lungscan.errors import InputRefused
from lungscan.training import splits
from lungscan.training.cache import Entry, Nodule
from lungscan.volume import series_hash


def entry(patient: str, *diameters: float, name: str = "") -> Entry:
    name = name or patient
    nodules = tuple(Nodule((0.0, 0.0, 0.0), mm) for mm in diameters)
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return Entry(name, patient, series_hash(name), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), axes, (1, 1, 1), nodules)


ENTRIES = [entry(f"p{k:03}", 3 + 0.3 * k) for k in range(100)] + [entry(f"q{k:03}") for k in range(30)]


def test_a_fifth_of_the_patients_with_and_without_nodules_validates() -> None:
    sets = splits.split(ENTRIES)
    assert Counter(sets[p] for p in sets if p.startswith("p")) == {"training": 80, "validation": 20}
    assert Counter(sets[p] for p in sets if p.startswith("q")) == {"training": 24, "validation": 6}


def test_each_run_of_sizes_has_one_that_validates() -> None:
    """100 patients in order of size: every five neighbours give one, so no size goes missing on either side."""
    sets = splits.split(ENTRIES, seed=4)
    for start in range(0, 100, 5):
        assert [sets[f"p{k:03}"] for k in range(start, start + 5)].count("validation") == 1


def test_all_scans_of_a_patient_are_on_one_side() -> None:
    twice = [*ENTRIES, *(entry(e.patient, 9.0, name=f"{e.name}b") for e in ENTRIES)]
    assert len(splits.split(twice)) == 130


def test_the_order_of_the_entries_does_not_count_and_the_seed_does() -> None:
    mixed = random.Random(1).sample(ENTRIES, len(ENTRIES))
    assert splits.split(ENTRIES, seed=3) == splits.split(mixed, seed=3)
    assert splits.k_folds(ENTRIES, 5, 3) == splits.k_folds(mixed, 5, 3)
    assert splits.split(ENTRIES, seed=3) != splits.split(ENTRIES, seed=5)


def test_two_patients_are_enough_and_one_trains() -> None:
    assert sorted(splits.split([entry("a", 5.0), entry("b", 6.0)]).values()) == ["training", "validation"]
    assert splits.split([entry("a", 5.0)]) == {"a": "training"}


def test_folds_are_even_and_hold_every_size() -> None:
    folds = splits.k_folds(ENTRIES, 4, seed=2)
    assert max(Counter(folds.values()).values()) - min(Counter(folds.values()).values()) <= 1
    for start in range(0, 100, 4):
        assert {folds[f"p{k:03}"] for k in range(start, start + 4)} == {0, 1, 2, 3}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_leaves_a_set_empty_is_a_mistake(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        splits.split(ENTRIES, share)


def test_more_folds_than_patients_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 patients"):
        splits.k_folds(ENTRIES[:2], 3, 0)


def test_a_split_is_read_back(tmp_path: Path) -> None:
    assert splits.write(tmp_path, ENTRIES) == splits.read(tmp_path) == splits.split(ENTRIES)
    (tmp_path / "split.json").write_text('{"patients": {"a": "test"}}')
    with pytest.raises(InputRefused, match="another set"):
        splits.read(tmp_path)
