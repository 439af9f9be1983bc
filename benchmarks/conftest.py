"""What the benchmarks share: a ratio is taken in one run, and only after the results were found equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.conftest import data

__all__ = ["data"]

T = TypeVar("T")
Compare = Callable[..., float]

SECOND_LOOKS = 2
"""A ratio under its floor is taken again, both sides anew: machines that others share have bad moments."""


def seconds(run: Callable[[], T], rounds: int) -> tuple[float, T]:
    """Best time of several rounds, and the last result."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - start)
    return best, result


@pytest.fixture
def faster(benchmark: BenchmarkFixture) -> Compare:
    """Time ours against the plain way; fail when the results differ or the ratio is under its floor."""

    def compare(
        ours: Callable[[], T], plain: Callable[[], T], *, same: Callable[[T, T], None], floor: float, rounds: int = 3
    ) -> float:
        plain_rounds = 1 if rounds == 1 else 2
        plain_s, expected = seconds(plain, plain_rounds)
        got = benchmark.pedantic(ours, rounds=rounds, iterations=1, warmup_rounds=1)
        same(got, expected)
        ratio = plain_s / benchmark.stats.stats.min
        for _ in range(SECOND_LOOKS):
            if ratio < floor:
                plain_s, _result = seconds(plain, plain_rounds)
                ratio = plain_s / seconds(ours, rounds)[0]
        benchmark.extra_info.update(plain_s=round(plain_s, 3), ratio=round(ratio, 2), floor=floor)
        assert ratio >= floor, f"{ratio:.1f} times faster than the plain way, not {floor}"
        return ratio

    return compare


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of ratios, under pytest-benchmark's own."""
    session = getattr(config, "_benchmarksession", None)
    rows = [b for b in getattr(session, "benchmarks", []) if "ratio" in b.extra_info]
    if not rows:
        return
    terminalreporter.section("times faster than the plain way")
    for b in rows:
        plain, ratio, floor = (b.extra_info[key] for key in ("plain_s", "ratio", "floor"))
        line = f"{b.name:32} plain {plain:8.3f} s   ours {b.stats.min:8.3f} s   {ratio:6.2f} times   (floor {floor})"
        terminalreporter.write_line(line)
