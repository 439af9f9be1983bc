"""Where the time of a scan went: each stage beside the bytes that it cannot avoid, and what memory could have moved.

A stage near its memory's peak gets faster only by moving less; one far below it waits for something else.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungscan import traffic
from lungscan.stages.segment import SLAB_SLICES

if TYPE_CHECKING:
    from lungscan.pipeline import Examination

COPY_BYTES = 1 << 27
"""Of the copy that a CPU's memory is measured with: more than its caches hold."""

COPIES = 5


@dataclass(frozen=True)
class Peak:
    """Bytes a second that a memory can move, read and written ones counted alike, and how that is known."""

    bytes_s: float
    source: str


@dataclass(frozen=True)
class Span:
    """One stage. `moved_bytes` are those that it must move at the least; None where memory is not what it waits for."""

    stage: str
    ms: float
    moved_bytes: int | None
    peak: Peak

    @property
    def gb_s(self) -> float | None:
        return None if self.moved_bytes is None or self.ms <= 0 else self.moved_bytes / self.ms / 1e6

    @property
    def share(self) -> float | None:
        """Of the peak."""
        return None if self.gb_s is None else self.gb_s * 1e9 / self.peak.bytes_s


def timeline(examination: Examination) -> tuple[Span, ...]:
    """The stages of a scan in their order; on a GPU their times are the device's."""
    least, at_peak = _least(examination), peak(examination.report.settings.device)
    return tuple(
        Span(stage, 1000 * seconds, least.get(stage), at_peak)
        for stage, seconds in examination.report.timing_s.items()
        if stage != "total"
    )


def _least(examination: Examination) -> dict[str, int]:
    """Bytes that each stage must move."""
    used, card = examination.report.settings, examination.card
    shape, prepared = examination.volume.grid.shape, examination.prepared.grid.shape
    asked = len(examination.found.row)
    crops = traffic.classifier(card, card.nodule, asked, used.precision)
    if card.malignancy is not None:
        reached = asked if used.device == "cuda" else len(examination.report.nodules)
        crops += traffic.classifier(card, card.malignancy, reached, used.precision)
    searched = 0 if examination.lungs is None or used.device == "cuda" else 2 * math.prod(shape)
    return {
        "read": 2 * math.prod(shape),
        "normalise": searched + (0 if card.input.spacing_irc_mm is None else traffic.resampling(shape, prepared)),
        "segment": traffic.unet(card, _pixels(examination), used.precision),
        "group": traffic.grouping(examination.segmented.grid.shape),
        "classify": crops,
    }


def _pixels(examination: Examination) -> int:
    """Of all slices as the U-Net must see them: on a CPU slab by slab around the lungs, on a GPU their whole box."""
    grid, lungs, box = examination.prepared.grid, examination.lungs, examination.segmented.box
    if lungs is None or examination.report.settings.device == "cuda":
        return math.prod(high - low for low, high in box)
    first, last = box[0]
    starts = range(first, last, SLAB_SLICES)
    slabs = (lungs.slab_box(grid, start, min(start + SLAB_SLICES, last)) for start in starts)
    return sum(math.prod(high - low for low, high in slab) for slab in slabs if slab is not None)


@cache
def peak(device: str) -> Peak:
    """Of a GPU's memory by its attributes, two transfers a clock; of a CPU's by a copy on all cores."""
    if device == "cuda":
        attributes = import_module("cupy").cuda.Device().attributes
        clock_hz, width_bytes = 1000 * attributes["MemoryClockRate"], attributes["GlobalMemoryBusWidth"] / 8
        return Peak(2 * clock_hz * width_bytes, "memory clock x bus width")
    return Peak(_copied_bytes_s(), "a copy on all cores, measured")


def _copied_bytes_s() -> float:
    cores = os.cpu_count() or 1
    here, there = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    parts = [np.array_split(array, cores) for array in (there, here)]
    best = math.inf
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(COPIES):
            start = time.perf_counter()
            list(pool.map(np.copyto, *parts))
            best = min(best, time.perf_counter() - start)
    return 2 * COPY_BYTES / best


def show(spans: Sequence[Span], console: Console) -> None:
    """A line a stage, then what the shares are of."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("stage", no_wrap=True)
    for name in ("ms", "MB at least", "GB/s", "of the peak"):
        table.add_column(name, justify="right", no_wrap=True)
    for span in spans:
        table.add_row(span.stage, f"{span.ms:.1f}", *figures(span.moved_bytes, span.gb_s, span.share))
    console.print(table)
    if spans:
        at = spans[0].peak
        console.print(Text(f"peak: {at.bytes_s / 1e9:.3g} GB/s ({at.source})", "dim"))


def figures(moved_bytes: int | None, gb_s: float | None, share: float | None) -> tuple[str, str, str]:
    """As a table shows them."""
    if moved_bytes is None or gb_s is None or share is None:
        return "", "", ""
    return f"{moved_bytes / 1e6:.1f}", f"{gb_s:.2f}", f"{100 * share:.1f} %"
