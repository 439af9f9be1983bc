"""Whole scans on a GPU: device and wall time by length with the ledger of each stage, peak memory, and a batch from memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lungscan import budget, timeline
from lungscan.benchmark.stages import phantom
from lungscan.parity import compare
from lungscan.phantom.writers import write
from lungscan.pipeline import Networks, examine_volume
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.volume import Volume

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
def opened(stream: Any) -> Iterator[Networks]:  # noqa: ARG001 (engines are made on it)
    yield Networks.open(ON_GPU)


@pytest.mark.parametrize("slices", [100, 300, 600])
def test_scan(opened: Networks, stream: Any, benchmark: BenchmarkFixture, chest: Volume, slices: int) -> None:
    import torch

    volume = of_length(chest, slices)
    ours, theirs = examine_volume(volume, opened, ON_GPU), examine_volume(volume, Networks.open(ON_CPU), ON_CPU)
    assert compare(theirs, ours, opened.segmentation.precision).holds
    torch.cuda.reset_peak_memory_stats()

    def whole() -> Any:
        return examine_volume(volume, opened, ON_GPU)

    found = benchmark.pedantic(whole, rounds=ROUNDS)
    stream.synchronize()
    peak_bytes = torch.cuda.max_memory_allocated()
    spans = timeline.timeline(found)
    benchmark.extra_info.update(
        device_ms=round(sum(span.ms for span in spans if span.stage not in ("load", "read", "diagnose")), 2),
        peak_mb=round(peak_bytes / 1e6),
        ledger={span.stage: [round(span.ms, 2), span.moved_bytes, span.share] for span in spans},
    )
    assert peak_bytes <= budget.on_gpu(volume.grid, opened.weights.card)


@pytest.mark.parametrize("source", ["memory", "disk"])
def test_batch(opened: Networks, benchmark: BenchmarkFixture, chest: Volume, tmp_path: Path, source: str) -> None:
    """While one scan is on the GPU the next ones are read; from memory the reader is a copy."""
    volume = of_length(chest, 300)
    path = write(volume, tmp_path, "dicom")
    alone = [n.centre_irc for n in examine_volume(volume, opened, ON_GPU).report.nodules]

    def one(_: int) -> Volume:
        return replace(volume, hu=volume.hu.copy()) if source == "memory" else read(path)

    def batch() -> list[list[Any]]:
        with ThreadPoolExecutor(2) as readers:
            return [
                [n.centre_irc for n in examine_volume(scan, opened, ON_GPU).report.nodules]
                for scan in readers.map(one, range(BATCH))
            ]

    start = time.perf_counter()
    found = benchmark.pedantic(batch, rounds=1, warmup_rounds=1)
    benchmark.extra_info.update(scans_a_second=round(2 * BATCH / (time.perf_counter() - start), 2))
    assert all(nodules == alone for nodules in found)
