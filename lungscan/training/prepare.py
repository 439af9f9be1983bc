"""A data set → the training cache: every scan read, put on the networks' grid, cropped to its lungs and labelled."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

from lungscan import files
from lungscan.errors import InputRefused, LungscanError, NotWritten, UsageError
from lungscan.lock import alone_in
from lungscan.readers import read
from lungscan.stages.normalise import normalise
from lungscan.training import lidc, luna16, maps, resampling, splits
from lungscan.training.cache import Cache, Entry, Nodule, lung_part, lungs_on
from lungscan.training.job import Finding, Job
from lungscan.training.label import label_map
from lungscan.volume import Triple, series_hash, triple
from lungscan.weights.card import Card


@dataclass(frozen=True)
class Form:
    """What a cache holds its scans as: on which grid, and whether compressed; and the device that resamples them."""

    spacing_irc_mm: Triple
    compress: bool = False
    device: str = "cpu"

    @classmethod
    def of(cls, card: Card, *, compress: bool = False, device: str = "cpu") -> Form:
        """On the grid of a card. Raises UsageError when it asks for none, EngineUnavailable for what is not installed."""
        if card.input.spacing_irc_mm is None:
            raise UsageError(
                f"the networks {card.name} work on each scan's own grid, and a cache needs one grid for all; "
                "give other --weights."
            )
        if compress:
            maps.blosc2()
        if device != "cpu":
            resampling.cupy()
        return cls(card.input.spacing_irc_mm, compress, device)


@dataclass(frozen=True)
class Skipped:
    """A scan that is not in the cache, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Prepared:
    """What a run did. `entries` are all of the cache; `made` of them are new, in `seconds` of wall clock."""

    entries: tuple[Entry, ...]
    sets: dict[str, splits.Set]
    made: int
    skipped: tuple[Skipped, ...]
    seconds: float
    megabytes: float


def find_jobs(dataset: Path) -> Sequence[Job]:
    """The scans of a folder in LUNA16's or LIDC-IDRI's layout.

    Raises UsageError when there is no such folder, InputRefused when it is in neither layout.
    """
    if not dataset.is_dir():
        raise UsageError(f"there is no folder {dataset}.")
    found: Sequence[Job] = luna16.jobs(dataset) if luna16.is_luna16(dataset) else lidc.jobs(dataset)
    if not found:
        raise InputRefused(
            f"{dataset} holds no data set: neither LUNA16's {luna16.ANNOTATIONS} with subset*/*.mhd, nor LIDC-IDRI's DICOM "
            "with the readers' XML beside it."
        )
    return found


def prepare(dataset: Path, folder: Path, form: Form, told: Callable[[int, int], None]) -> Prepared:
    """Put what is not yet there of a data set into the cache in `folder`, on all cores, and write its split.

    told : called with the scans done and all scans

    Raises UsageError and InputRefused as `find_jobs` does; UsageError while another process writes into the cache;
    NotWritten when the disk is full; InputRefused when not one scan could be prepared, when the cache is on another grid,
    and when a worker was killed. A scan that fails is in `skipped` and nowhere else.
    """
    jobs = find_jobs(dataset)
    files.make_folder(folder)
    with alone_in(folder, option="--cache"):
        return _prepared(jobs, dataset, folder, form, told)


def _prepared(jobs: Sequence[Job], dataset: Path, folder: Path, form: Form, told: Callable[[int, int], None]) -> Prepared:
    cache = Cache(folder)
    missing = [job for job in jobs if not cache.has(job.name)]
    _same_grid(cache, form.spacing_irc_mm)
    before = len(jobs) - len(missing)
    told(before, len(jobs))
    started = time.monotonic()
    skipped = _run(missing, folder, form, lambda done: told(before + done, len(jobs)))
    seconds = time.monotonic() - started
    if len(skipped) == len(jobs):
        raise InputRefused(f"not one scan of {dataset} could be prepared; the first: {skipped[0].name}: {skipped[0].reason}")
    entries = cache.entries()
    size = sum(path.stat().st_size for entry in entries for path in (folder / entry.name).iterdir())
    sets = splits.write(folder, entries)
    return Prepared(tuple(entries), sets, len(missing) - len(skipped), tuple(skipped), seconds, size / 1e6)


def prepare_one(job: Job, folder: Path, form: Form) -> None:
    """One scan into the cache. Raises LungscanError when it cannot be."""
    scan = read(job.path, None if job.path.suffix == ".mhd" else job.series)
    findings = job.findings(scan)
    upright, lungs = normalise(scan, None, lung_gate=True)
    if lungs is None:
        raise InputRefused(f"{job.path}: no lungs were found.")
    volume = resampling.resampled(upright, form.spacing_irc_mm, form.device)
    label = label_map(volume, upright.grid, findings)
    box = lung_part(volume, lungs)
    part = tuple(slice(*side) for side in box)
    grid = volume.grid.part(box)
    a, b, c = (triple(row) for row in grid.direction)
    entry = Entry(
        name=job.name,
        patient=job.patient,
        series=series_hash(job.series),
        spacing_irc_mm=grid.spacing_irc_mm,
        origin_xyz_mm=grid.origin_xyz_mm,
        direction=(a, b, c),
        shape=grid.shape,
        nodules=tuple(map(_nodule, findings.nodules)),
        ignored=tuple(map(_nodule, findings.ignored)),
        decoys_xyz_mm=findings.decoys_xyz_mm,
    )
    Cache(folder, compress=form.compress).write(entry, volume.hu[part], lungs_on(grid, lungs), label[part])


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(jobs: Sequence[Job], folder: Path, form: Form, told: Callable[[int], None]) -> list[Skipped]:
    if not jobs:
        return []
    reasons: dict[str, str] = {}
    pool = ProcessPoolExecutor(min(cores(), len(jobs)), get_context("spawn"), initializer=follow_the_parent)
    try:
        running = {pool.submit(_reason, job, folder, form): job for job in jobs}
        for done, future in enumerate(as_completed(running), 1):
            reason = future.result()
            if reason is not None:
                reasons[running[future].name] = reason
            told(done)
    except BrokenProcessPool as error:
        raise InputRefused(
            "a worker was killed, most likely for want of memory; what was finished is kept, so run the same command again."
        ) from error
    except KeyboardInterrupt:
        for worker in active_children():  # what they are at is made again; to wait for it would take seconds
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [Skipped(job.name, reasons[job.name]) for job in jobs if job.name in reasons]


def _reason(job: Job, folder: Path, form: Form) -> str | None:
    """Why a scan could not be prepared: one bad scan of a thousand must not end the night's run, as a full disk must."""
    try:
        prepare_one(job, folder, form)
    except NotWritten:
        raise
    except LungscanError as error:
        return str(error)
    except Exception as error:
        return f"unexpected {type(error).__name__}: {error}"
    return None


def follow_the_parent() -> None:
    """In a worker: interrupts are the parent's to see, and when it is killed the worker ends, so that it never writes into
    the cache beside a second run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _same_grid(cache: Cache, spacing: Triple) -> None:
    entries = cache.entries() if any(cache.folder.glob("*/entry.json")) else []
    other = next((e for e in entries if e.spacing_irc_mm != spacing), None)
    if other is not None:
        raise InputRefused(
            f"{cache.folder} holds {other.name} on a grid of {other.spacing_irc_mm} mm, and the networks now work on "
            f"{spacing}; give another --cache."
        )


def _nodule(finding: Finding) -> Nodule:
    return Nodule(finding.centre_xyz_mm, finding.diameter_mm, finding.ratings)
