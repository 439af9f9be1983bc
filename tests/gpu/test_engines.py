"""Engines on a GPU: what the CPU's float32 gives, in both worlds, on one stream, from one pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lungscan.engines import open_engine, plan
from lungscan.engines.proof import MOST, probe
from lungscan.engines.shared_stream import gpu, shared_stream

from lungscan import weights
from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network
from lungscan.parity import gate
from lungscan.parity.compare import compare
from lungscan.phantom import make_chest
from lungscan.pipeline import Networks, examine_volume
from lungscan.settings import Settings

pytestmark = pytest.mark.gpu
ENGINES = ["torch", "tensorrt"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if gpu() is None:
        pytest.skip("no NVIDIA GPU here")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    here = gpu()
    try:
        serves = request.param == "torch" or (here is not None and plan.serves(plan.tensorrt(), here))
    except EngineUnavailable as missing:
        pytest.skip(str(missing))
    if not serves:
        pytest.skip(f"TensorRT for RTX does not run on {here}")
    return str(request.param)


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    return list(gate.networks(weights.load(weights.shipped())))


@pytest.mark.parametrize("precision", MOST)
def test_equals_the_cpu_in_both_worlds(engine: str, networks: list[Network], precision: str) -> None:
    import cupy

    for network in networks:
        rows = probe(network)
        (expected,) = open_engine(network, "cpu", precision="fp32")([rows])
        ours = open_engine(network, "cuda", engine, precision)
        half = cupy.asarray(rows, dtype=cupy.float16)
        last = cupy.moveaxis(cupy.ascontiguousarray(cupy.moveaxis(half, 1, -1)), -1, 1)
        for batch in (rows, half, last):
            (p,) = ours([batch])
            assert isinstance(p, np.ndarray if batch is rows else cupy.ndarray)
            assert np.abs(cupy.asnumpy(p) - expected).max() <= MOST[precision]


def test_a_result_outlives_the_next_batch(engine: str, networks: list[Network]) -> None:
    """Batches of one shape share a graph's memory; what was yielded may not change under its reader."""
    import cupy

    rows = cupy.asarray(probe(networks[0]), dtype=cupy.float16)
    other = cupy.flip(rows, -1).copy()
    ours = open_engine(networks[0], "cuda", engine)
    first, second = ours([rows, other])
    again, _ = ours([rows, rows])
    assert cupy.array_equal(first, again)
    assert not cupy.array_equal(first, second)


def test_torch_and_cupy_share_stream_and_pool() -> None:
    import cupy
    import torch

    with shared_stream() as stream:
        assert torch.cuda.current_stream().cuda_stream == stream.ptr == cupy.cuda.get_current_stream().ptr
        before = torch.cuda.memory_allocated()
        held = cupy.empty(1 << 20, cupy.uint8)
        assert torch.cuda.memory_allocated() >= before + (1 << 20)
        del held
        assert torch.cuda.memory_allocated() == before


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_phantom_s_nodules_are_the_cpu_s(engine: str, precision: str) -> None:
    volume = make_chest(7, spacing_irc_mm=(4.0, 1.4, 1.4)).volume

    def found(settings: Settings) -> Any:
        return examine_volume(volume, Networks.open(settings), settings)

    ours = found(Settings(device="cuda", engine=engine, precision=precision))
    assert compare(found(Settings(device="cpu", precision="fp32")), ours, precision).holds
