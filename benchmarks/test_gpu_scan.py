"""Whole scans on a GPU: device and wall time by length, the ledger of the stages, peak memory, and a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Tell
from lungscan import budget, timeline
from lungscan.benchmark.stages import phantom
from lungscan.parity.compare import compare
from lungscan.phantom.writers import write
from lungscan.pipeline import Networks, examine_volume
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.volume import Triple, Volume

pytestmark = pytest.mark.gpu
ON_GPU, ON_CPU = Settings(device="cuda"), Settings(device="cpu", precision="fp32")
BATCH = 16
ROUNDS = 5


@pytest.fixture(scope="module")
def chest() -> Volume:
    return phantom().volume


def of_length(chest: Volume, slices: int) -> Volume:
    """The chest as so many slices of 512 x 512."""
    at = [np.arange(n) * m // n for n, m in zip((slices, 512, 512), chest.hu.shape, strict=True)]
    hu = np.ascontiguousarray(chest.hu[np.ix_(*at)])
    spacing = tuple(mm * m / n for mm, m, n in zip(chest.grid.spacing_irc_mm, chest.hu.shape, hu.shape, strict=True))
    return replace(chest, hu=hu, grid=replace(chest.grid, shape=hu.shape, spacing_irc_mm=spacing))


@pytest.fixture
def opened(stream: Any) -> Networks:  # noqa: ARG001 (engines are made on it)
    return Networks.open(ON_GPU)


@pytest.mark.parametrize("slices", [100, 300, 600])
def test_scan(opened: Networks, benchmark: BenchmarkFixture, tell: Tell, chest: Volume, slices: int) -> None:
    """The device's time is that of its stages, by events; wall time is pytest-benchmark's."""
    import torch

    volume = of_length(chest, slices)
    ours, theirs = examine_volume(volume, opened, ON_GPU), examine_volume(volume, Networks.open(ON_CPU), ON_CPU)
    assert compare(theirs, ours, opened.segmentation.precision).holds
    torch.cuda.reset_peak_memory_stats()
    found = benchmark.pedantic(lambda: examine_volume(volume, opened, ON_GPU), rounds=ROUNDS)
    peak_bytes = torch.cuda.max_memory_allocated()
    spans = timeline.timeline(found)
    tell(
        device_ms=sum(span.ms for span in spans if span.stage != "diagnose"),
        wall_ms=1000 * benchmark.stats.stats.median,
        peak_mb=peak_bytes / 1e6,
        **{f"{span.stage}_ms": span.ms for span in spans},
        **{f"{span.stage}_share_of_peak": span.share for span in spans if span.share is not None},
    )
    assert peak_bytes <= budget.on_gpu(volume.grid, opened.weights.card)


@pytest.mark.parametrize("source", ["memory", "disk"])
def test_batch(
    opened: Networks, benchmark: BenchmarkFixture, tell: Tell, chest: Volume, tmp_path: Path, source: str
) -> None:
    """While one scan is on the GPU the next ones are read; from memory the reader is a copy."""
    volume = of_length(chest, 300)
    path = write(volume, tmp_path, "dicom")
    alone = _nodules(volume, opened)

    def scan(_: int) -> Volume:
        return replace(volume, hu=volume.hu.copy()) if source == "memory" else read(path)

    def batch() -> list[list[Triple]]:
        with ThreadPoolExecutor(2) as readers:
            return [_nodules(one, opened) for one in readers.map(scan, range(BATCH))]

    found = benchmark.pedantic(batch, rounds=2, warmup_rounds=1)
    assert all(nodules == alone for nodules in found)
    tell(scans_a_second=BATCH / benchmark.stats.stats.min)


def _nodules(volume: Volume, opened: Networks) -> list[Triple]:
    return [nodule.centre_irc for nodule in examine_volume(volume, opened, ON_GPU).report.nodules]
