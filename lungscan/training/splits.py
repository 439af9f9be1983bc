"""Which patients train and which validate: never one patient in both, and every size of nodule in each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lungscan import files
from lungscan.errors import InputRefused
from lungscan.training.cache import Entry

Set = Literal["training", "validation"]
FILE = "split.json"


def split(entries: Iterable[Entry], validation: float = 0.2, seed: int = 0) -> dict[str, Set]:
    """Patient to set. Patients are ordered by their largest nodule and cut into as many runs as validate; one of each does.

    Patients without nodules are dealt likewise. At least one patient of two or more with nodules validates. The same seed
    gives the same split, whatever the order of the entries. Raises ValueError unless 0 < validation < 1.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation is {validation}, not a share between 0 and 1")
    out: dict[str, Set] = {}
    for group, least in zip(_by_size(entries, seed), (1, 0), strict=True):
        count = max(round(validation * len(group)), least if len(group) > 1 else 0)
        for run in _runs(group, count):
            chosen = min(run, key=lambda patient: _draw(seed, patient))
            out |= {patient: "validation" if count and patient == chosen else "training" for patient in run}
    return dict(sorted(out.items()))


def k_folds(entries: Iterable[Entry], k: int, seed: int = 0) -> dict[str, int]:
    """Patient to fold, 0 to k - 1: of every k patients next to each other in size each goes to another fold.

    Folds differ by at most one patient. Raises ValueError for fewer than two folds, or fewer patients than folds.
    """
    with_nodules, without = _by_size(entries, seed)
    if not 2 <= k <= len(with_nodules) + len(without):
        raise ValueError(f"{len(with_nodules) + len(without)} patients cannot be cut into {k} folds")
    runs = (with_nodules[start : start + k] for start in range(0, len(with_nodules), k))
    order = [patient for run in runs for patient in sorted(run, key=lambda p: _draw(seed, p))]
    return dict(sorted((patient, index % k) for index, patient in enumerate([*order, *without])))


def write(folder: Path, entries: Sequence[Entry], validation: float = 0.2, seed: int = 0) -> dict[str, Set]:
    """Split a cache and write CACHE/split.json: the seed, the set of each patient, the hashes of each set's series."""
    sets = split(entries, validation, seed)
    series = {name: sorted({e.series for e in entries if sets[e.patient] == name}) for name in ("training", "validation")}
    record = {"seed": seed, "validation": validation, "patients": sets, "series": series}
    files.write_text(folder / FILE, json.dumps(record, indent=1) + "\n")
    return sets


def read(folder: Path) -> dict[str, Set]:
    """Patient to set, as written. Raises InputRefused when the cache has no split that can be read."""
    path = folder / FILE
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["patients"]
        if set(sets.values()) <= {"training", "validation"}:
            return dict(sets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(f"{path} cannot be read ({error!r}); run `lungscan prepare` again, which writes it.") from error
    raise InputRefused(f"{path} names another set than training and validation; run `lungscan prepare` again.")


def _by_size(entries: Iterable[Entry], seed: int) -> tuple[list[str], list[str]]:
    """Patients with nodules by their largest one, and those without."""
    largest: dict[str, float] = {}
    for entry in entries:
        largest[entry.patient] = max([largest.get(entry.patient, 0.0), *(n.diameter_mm for n in entry.nodules)])
    order = sorted(largest, key=lambda patient: (largest[patient], _draw(seed, patient)))
    return [p for p in order if largest[p] > 0], [p for p in order if largest[p] == 0]


def _runs(patients: list[str], count: int) -> Iterator[list[str]]:
    for run in np.array_split(np.arange(len(patients)), max(count, 1)):
        if len(run):
            yield [patients[k] for k in run]


def _draw(seed: int, patient: str) -> str:
    """A lot that depends on nothing but the seed and the patient."""
    return hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()
