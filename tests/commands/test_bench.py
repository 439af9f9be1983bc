"""`lungscan bench`: every row is checked, timed and set beside its floor; what is wrong is not timed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from lungscan import benchmark
from lungscan.benchmark.kernels import between, inputs, kernels, stacked
from lungscan.benchmark.work import Work
from lungscan.commands import app
from lungscan.errors import EngineUnavailable
from lungscan.timeline import Peak

SHAPE = (34, 50, 52)


@pytest.fixture
def hu() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 1500, SHAPE).astype(np.int16)


def test_every_kernel_is_right_on_a_cpu(hu: np.ndarray) -> None:
    works = list(kernels(inputs(hu, crops=2), (-1000, 400), "fp32"))
    assert [work.name for work in works] == ["window", "stack", "mask", "resample", "crop", "component table"]
    for work in works:
        assert work.right(work.run()), work.name
        assert work.moved_bytes > 0


def test_a_wrong_result_is_seen(hu: np.ndarray) -> None:
    for work in kernels(inputs(hu, crops=2), (-1000, 400), "fp32"):
        wrong = work.run()
        if isinstance(wrong, np.ndarray):
            wrong = wrong.copy()
            wrong.flat[0] += 5
        else:
            wrong = replace(wrong, count=wrong.count + 1)
        assert not work.right(wrong), work.name


def test_the_oracles_by_hand() -> None:
    line = np.array([0, 10, 20], np.int16).reshape(3, 1, 1)
    assert stacked(line, ((0, 3), (0, 1), (0, 1)))[0].ravel().tolist() == [0, 0, 0, 0, 10, 20, 20]
    np.testing.assert_allclose(between(line.repeat(2, 1).repeat(2, 2))[:, 0, 0], [0, 5, 10, 15, 20])


def test_blobs_fill_the_share_asked_for(hu: np.ndarray) -> None:
    for density in (0.001, 0.1):
        over = inputs(hu, density=density).probability > 0.5
        assert over.mean() == pytest.approx(density, rel=0.05)
        assert ndimage.label(over)[1] >= 1


def works(*_: Any) -> list[Work]:
    return [Work("good", lambda: 1, lambda one: one == 1, 10**6), Work("other", lambda: 2, lambda two: two == 2, 10**6)]


def test_a_row_stands_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MB at 10 GB/s takes 0.1 ms; what takes 1 ms takes ten times that, and moves 1 GB/s."""
    monkeypatch.setattr(benchmark, "_works", works)
    monkeypatch.setattr(benchmark, "peak", lambda _: Peak(10e9, "by hand"))
    monkeypatch.setattr(benchmark, "seconds_of", lambda *_: 1e-3)
    result = CliRunner().invoke(app, ["bench", "--json", "--device", "cpu"])
    told = json.loads(result.stdout)
    assert told["rows"][0] == {"name": "good", "ms": 1.0, "moved_bytes": 10**6, "gb_s": 1.0, "times_floor": 10.0}
    assert told["device"] == "cpu"
    table = CliRunner().invoke(app, ["bench"]).stdout
    for word in ("good", "other", "times its floor", "by hand"):
        assert word in table


def test_what_is_wrong_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_works", lambda *_: [Work("bad", lambda: 1, lambda _: False, 1)])
    monkeypatch.setattr(benchmark, "peak", lambda _: Peak(1e9, "by hand"))
    with pytest.raises(EngineUnavailable, match="bad gives a wrong result"):
        benchmark.bench("cpu")


@pytest.mark.slow
def test_a_whole_run() -> None:
    told = json.loads(CliRunner().invoke(app, ["bench", "--json"]).stdout)
    names = [row["name"].split()[0] for row in told["rows"]]
    assert names[:5] == ["read", "normalise", "segment", "group", "classify"]
    assert all(row["ms"] > 0 and row["gb_s"] > 0 for row in told["rows"])
