"""The short form of the benchmarks: the stages and kernels of a scan on this machine, each beside its floor.

A floor is the bytes that must move at the least over what memory moves at its best (`lungscan.timeline.peak`). Every result
is compared with what plain NumPy and SciPy make of the same input, or with float32, before a time is taken.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lungscan.benchmark.kernels import inputs, kernels
from lungscan.benchmark.stages import phantom, stages
from lungscan.benchmark.work import Work, seconds_of
from lungscan.errors import EngineUnavailable
from lungscan.phantom.writers import write
from lungscan.pipeline import Networks
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.timeline import Peak, peak

ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """A stage or kernel: the median of its times, the bytes that it must move, and how many times its floor it took."""

    name: str
    ms: float
    moved_bytes: int
    gb_s: float
    times_floor: float


@dataclass(frozen=True)
class Bench:
    """All of one run."""

    device: str
    engine: str
    precision: str
    peak: Peak
    rows: tuple[Row, ...]


def bench(device: str = "auto") -> Bench:
    """Time the stages and kernels of a scan with the shipped networks.

    Raises EngineUnavailable where the device cannot serve, and for a wrong result.
    """
    opened = Networks.open(Settings(device=device))
    runs = opened.segmentation
    at_peak = peak(runs.device)
    with _stream(runs.device), tempfile.TemporaryDirectory() as folder:
        rows = tuple(_row(work, runs.device, at_peak) for work in _works(opened, Path(folder)))
    return Bench(runs.device, f"{runs.name} {runs.version}", runs.precision, at_peak, rows)


def _works(opened: Networks, folder: Path) -> Iterator[Work]:
    chest, on_gpu = phantom(), opened.segmentation.device == "cuda"
    volume = chest.volume
    path = write(volume, folder, "dicom")
    yield Work("read", lambda: read(path).hu, lambda hu: bool((hu == volume.hu).all()), 2 * volume.hu.size, on_host=True)
    yield from stages(chest, opened, on_gpu=on_gpu)
    given = inputs(volume.hu, import_module("cupy") if on_gpu else np)
    yield from kernels(given, opened.weights.card.input.window_hu, opened.segmentation.precision)


def _row(work: Work, device: str, at_peak: Peak) -> Row:
    if not work.right(work.run()):
        raise EngineUnavailable(f"{work.name} gives a wrong result here, so it is not timed; run `lungscan verify`.")
    where = "cpu" if work.on_host else device
    seconds = statistics.median(seconds_of(work.run, where) for _ in range(ROUNDS))
    floor = work.moved_bytes / (peak("cpu") if work.on_host else at_peak).bytes_s
    return Row(work.name, 1000 * seconds, work.moved_bytes, work.moved_bytes / seconds / 1e9, seconds / floor)


def _stream(device: str) -> AbstractContextManager[Any]:
    if device == "cpu":
        return nullcontext()
    from lungscan.engines.shared_stream import shared_stream

    return shared_stream()
