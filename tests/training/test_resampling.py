"""Resampling for the cache: on the CPU, and the way to a GPU and back."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungscan.errors import EngineUnavailable
from lungscan.training.resampling import resampled
from tests.support import volume

RAMP = volume(np.arange(24)[:, None, None] * 20 - 900 + np.zeros((24, 20, 22)), spacing=(1.0, 0.5, 0.5))


def fake_cupy(devices: int) -> Any:
    """CuPy's names over NumPy: what travels can be seen, no GPU is needed."""

    def count() -> int:
        if devices < 0:
            raise RuntimeError("cudaErrorNoDevice")
        return devices

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=RuntimeError)
    return SimpleNamespace(asarray=np.array, asnumpy=np.array, cuda=SimpleNamespace(runtime=runtime))


def test_a_ramp_stays_one_where_it_is_in_the_patient() -> None:
    out = resampled(RAMP, (2.0, 1.0, 1.0), "cpu")
    assert out.grid.spacing_irc_mm == (2.0, 1.0, 1.0)
    assert out.grid.shape == out.hu.shape == (12, 10, 11)
    z = out.grid.xyz(np.array([[i, 4, 4] for i in range(1, 11)]))[:, 2]
    np.testing.assert_allclose(out.hu[1:11, 4, 4], z * 20 - 900, atol=0.5)


def test_the_way_over_a_gpu_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(1))
    there, here = (resampled(RAMP, (1.5, 0.75, 0.75), device) for device in ("cuda", "cpu"))
    np.testing.assert_array_equal(there.hu, here.hu)
    assert there.grid.shape == here.grid.shape


@pytest.mark.parametrize("devices", [0, -1])
def test_cupy_without_a_gpu_cannot_serve(monkeypatch: pytest.MonkeyPatch, devices: int) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(devices))
    with pytest.raises(EngineUnavailable, match="no GPU"):
        resampled(RAMP, (2.0, 1.0, 1.0), "cuda")


@pytest.mark.gpu
def test_a_gpu_agrees_within_one_hu() -> None:
    pytest.importorskip("cupy")
    rng = np.random.default_rng(0)
    noise = volume(rng.integers(-1000, 400, (40, 60, 64)), spacing=(1.25, 0.7, 0.7))
    there, here = (resampled(noise, (2.0, 1.25, 1.25), device) for device in ("cuda", "cpu"))
    assert np.abs(there.hu.astype(int) - here.hu).max() <= 1
