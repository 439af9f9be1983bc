"""The timeline of a scan against bytes counted by hand, and peaks against what makers state."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from lungscan.engines import open_engine
from rich.console import Console

from lungscan import timeline, traffic
from lungscan.networks import graph
from lungscan.pipeline import Examination, Networks, examine_volume
from lungscan.settings import Settings
from lungscan.timeline import Peak, Span
from lungscan.weights import Weights
from tests.support import random_networks, small_card, volume

SHAPE = (10, 64, 48)


@pytest.fixture(scope="module")
def examined() -> Examination:
    card = replace(small_card(), malignancy=None)
    tensors = random_networks(card)
    weights = Weights(card, tensors["segmentation"], tensors["nodule"], None, "")
    networks = Networks(
        weights,
        open_engine(graph.segmentation(card, tensors["segmentation"]), "cpu", "openvino", "fp32"),
        open_engine(graph.classifier("nodule", card, card.nodule, tensors["nodule"]), "cpu", "openvino", "fp32"),
        None,
    )
    hu = np.random.default_rng(0).integers(-1000, 400, SHAPE)
    return examine_volume(volume(hu), networks, Settings(lung_gate=False))


def test_stages_stand_in_their_order_with_their_times(examined: Examination) -> None:
    spans = timeline.timeline(examined)
    assert [span.stage for span in spans] == ["normalise", "segment", "group", "classify", "diagnose"]
    for span in spans:
        assert span.ms == pytest.approx(1000 * examined.report.timing_s[span.stage])


def test_bytes_are_those_that_must_move(examined: Examination) -> None:
    """Nothing is resampled and no lungs are looked for; every pixel goes through the U-Net, every candidate is a crop."""
    moved = {span.stage: span.moved_bytes for span in timeline.timeline(examined)}
    voxels = 10 * 64 * 48
    assert moved["normalise"] == 0
    assert moved["segment"] == traffic.unet(small_card(), voxels, "fp32")
    assert moved["group"] == 4 * voxels
    crops = len(examined.candidates)
    assert moved["classify"] == traffic.classifier(small_card(), small_card().nodule, crops, "fp32")
    assert moved["diagnose"] is None


def test_shares_by_hand() -> None:
    """80 MB in 10 ms are 8 GB/s, two fifths of 20 GB/s."""
    span = Span("segment", 10.0, 80_000_000, Peak(20e9, "by hand"))
    assert span.gb_s == pytest.approx(8.0)
    assert span.share == pytest.approx(0.4)
    assert Span("diagnose", 1.0, None, Peak(20e9, "by hand")).share is None


def test_an_h100_s_peak_is_what_its_maker_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """2619 MHz, two transfers a clock, 5120 bits: 3.35 TB/s."""
    device = SimpleNamespace(attributes={"MemoryClockRate": 2_619_000, "GlobalMemoryBusWidth": 5120})
    cupy = SimpleNamespace(cuda=SimpleNamespace(Device=lambda: device))
    monkeypatch.setitem(sys.modules, "cupy", cupy)  # type: ignore[arg-type]
    found = timeline.peak.__wrapped__("cuda")
    assert found.bytes_s == pytest.approx(3.35e12, rel=0.001)
    assert "clock" in found.source


def test_a_cpu_s_peak_is_measured() -> None:
    found = timeline.peak("cpu")
    assert 1e8 < found.bytes_s < 1e13
    assert "measured" in found.source


def test_the_table_says_what_the_shares_are_of() -> None:
    spans = [Span("segment", 10.0, 80_000_000, Peak(20e9, "by hand")), Span("diagnose", 1.0, None, Peak(20e9, "by hand"))]
    out = StringIO()
    timeline.show(spans, Console(file=out, width=100))
    first, second, third, last = out.getvalue().splitlines()
    assert first.split() == ["stage", "ms", "MB", "at", "least", "GB/s", "of", "the", "peak"]
    assert second.split() == ["segment", "10.0", "80.0", "8.00", "40.0", "%"]
    assert third.split() == ["diagnose", "1.0"]
    assert last.strip() == "peak: 20 GB/s (by hand)"
