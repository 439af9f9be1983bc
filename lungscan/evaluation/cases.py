"""Scans that a weights file may be judged on, with their truth: entries of a training cache, or the files of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.readers import read
from lungscan.stages.lungs import Lungs
from lungscan.stages.normalise import normalise
from lungscan.training import splits
from lungscan.training.cache import COPY, Cache, Entry, Nodule
from lungscan.training.job import Job
from lungscan.training.label import label_map
from lungscan.training.prepare import find_jobs
from lungscan.volume import Triple, Volume, series_hash
from lungscan.weights.card import Card


@dataclass(frozen=True)
class Opened:
    """A scan on the networks' grid, and its truth.

    label   : (I,R,C) uint8 on the grid of `volume`: 0, k + 1 in nodule k, `lungscan.training.cache.IGNORED`
    ignored : findings that are neither right nor wrong
    """

    volume: Volume
    lungs: Lungs | None
    label: npt.NDArray[np.uint8]
    nodules: tuple[Nodule, ...]
    ignored: tuple[Nodule, ...]


@dataclass(frozen=True)
class Case:
    """A scan by its name, its patient and its series' hash; `open` reads it, or raises a LungscanError."""

    name: str
    patient: str
    series: str
    open: Callable[[], Opened]


@dataclass(frozen=True)
class Source:
    """Scans to judge: where they are from, and what a reader of the figures should know of it."""

    name: str
    cases: tuple[Case, ...]
    warnings: tuple[str, ...] = ()


def cached(folder: Path, card: Card, which: Literal["training", "validation", "all"], pattern: str) -> Source:
    """The entries of a cache that belong to the set and whose names fit the pattern (with * and ?).

    Painted copies are left out unless the pattern has a +. Raises InputRefused where there is no cache or split, for a
    grid that is not the card's, and when no entry is left.
    """
    cache = Cache(folder)
    sets = {} if which == "all" else splits.read(folder)
    entries = [
        entry
        for entry in cache.entries()
        if which in ("all", sets.get(entry.patient))
        and fnmatchcase(entry.name, pattern)
        and (COPY in pattern or not entry.is_copy)
    ]
    if not entries:
        raise InputRefused(
            f"{folder} has no entry of the set {which} whose name fits {pattern}; give another --only or --set."
        )
    warnings = _on_the_grid(folder, entries, card)
    cases = tuple(Case(e.name, e.patient, e.series, partial(_open_entry, cache, e)) for e in entries)
    return Source(str(folder), cases, warnings)


def of_dataset(dataset: Path, card: Card, pattern: str) -> Source:
    """The scans of a folder in LUNA16's or LIDC-IDRI's layout whose names fit the pattern, on the card's grid.

    Raises UsageError and InputRefused as `find_jobs` does, and InputRefused when no scan is left.
    """
    cases = tuple(
        Case(job.name, job.patient, series_hash(job.series), partial(_open_job, job, card.input.spacing_irc_mm))
        for job in find_jobs(dataset)
        if fnmatchcase(job.name, pattern)
    )
    if not cases:
        raise InputRefused(f"{dataset} has no scan whose name fits {pattern}; give another --only.")
    return Source(str(dataset), cases)


def _open_entry(cache: Cache, entry: Entry) -> Opened:
    return Opened(cache.volume(entry), cache.gate(entry), cache.maps(entry)[2], entry.nodules, entry.ignored)


def _open_job(job: Job, spacing_irc_mm: Triple | None) -> Opened:
    scan = read(job.path, None if job.path.suffix == ".mhd" else job.series)
    findings = job.findings(scan)
    volume, lungs = normalise(scan, spacing_irc_mm, lung_gate=True)
    label = label_map(volume, scan.canonical().grid, findings)
    nodules, ignored = (
        tuple(Nodule(f.centre_xyz_mm, f.diameter_mm, f.ratings) for f in some)
        for some in (findings.nodules, findings.ignored)
    )
    return Opened(volume, lungs, label, nodules, ignored)


def _on_the_grid(folder: Path, entries: Sequence[Entry], card: Card) -> tuple[str, ...]:
    """What to say of networks that work on each scan's own grid. Raises InputRefused for those that work on another one."""
    spacing = card.input.spacing_irc_mm
    if spacing is None:
        grid = _mm(entries[0].spacing_irc_mm)
        return (
            f"{card.name} works on each scan's own grid, and these scans lie on one of {grid} mm: --dataset judges fairly.",
        )
    other = next((entry for entry in entries if entry.spacing_irc_mm != spacing), None)
    if other is not None:
        raise InputRefused(
            f"{folder} holds {other.name} on a grid of {_mm(other.spacing_irc_mm)} mm, and {card.name} works on "
            f"{_mm(spacing)}; prepare a cache for it, or judge it on the scans' files with --dataset."
        )
    return ()


def _mm(spacing: Triple) -> str:
    return " x ".join(f"{mm:g}" for mm in spacing)
