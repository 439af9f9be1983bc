"""What the benchmarks share: a ratio is taken in one run, and only after the results were found equal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from lungscan.engines.shared_stream import gpu, shared_stream
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import results
from benchmarks.results import Kind, Measured
from lungscan.benchmark.work import Work, seconds_of
from lungscan.files import write_text
from lungscan.timeline import peak
from tests.conftest import data

__all__ = ["data"]

T = TypeVar("T")
Compare = Callable[..., float]
Rivals = Mapping[str, tuple[Callable[[], Any], Callable[[Any], bool]]]
"""Other ways to do a work, by name: what each runs, and whether its result is right."""
OnGpu = Callable[[Work, Rivals], None]

Tell = Callable[..., None]

SECOND_LOOKS = 4
"""A ratio under its least is taken again, both sides anew: machines that others share have bad moments."""

GPU_ROUNDS = 20

_kept: list[tuple[Kind, Measured]] = []
_told: dict[str, dict[str, float]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="Write benchmarks/results/<machine>.json.")
    parser.addoption("--until", type=float, metavar="TIME", help="Skip what would start after this time (Unix seconds).")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--record", default=False):
        for kind, measured in _by_kind().values():
            kind.file.parent.mkdir(exist_ok=True)
            write_text(kind.file, results.document(kind, measured, _told if kind.facts else {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of ratios, under pytest-benchmark's own."""
    for name, figures in _told.items():
        said = ", ".join(f"{key} {value:.3g}" for key, value in figures.items())
        terminalreporter.write_line(f"{name}: {said}")
    for kind, measured in _by_kind().values():
        before = results.committed(kind)
        against = f"{kind.file.name}" if before else "no committed results of this kind: absolute floors"
        terminalreporter.section(f"times faster on {kind.name} ({against})")
        for line in results.lines(measured, before):
            terminalreporter.write_line(line)


def _by_kind() -> dict[Path, tuple[Kind, list[Measured]]]:
    out: dict[Path, tuple[Kind, list[Measured]]] = {}
    for kind, measured in _kept:
        out.setdefault(kind.file, (kind, []))[1].append(measured)
    return out


@pytest.fixture(autouse=True)
def in_time(request: pytest.FixtureRequest) -> None:
    until = request.config.getoption("--until", default=None)
    if until is not None and time.time() > until:
        pytest.skip("no time left for this one")


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Keep figures of a whole scan on a GPU, which stand beside nothing."""

    def keep(**figures: float) -> None:
        _told[request.node.name] = {name: round(value, 3) for name, value in figures.items()}

    return keep


@pytest.fixture
def faster(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Compare:
    """Time ours against the plain way, in turns; fail when the results differ or the ratio of medians is under its least.

    With one round the plain way runs but once: its time is that of the run that gave the result to compare with.
    """

    def compare(
        ours: Callable[[], T], plain: Callable[[], T], *, same: Callable[[T, T], None], floor: float, rounds: int = 5
    ) -> float:
        plain_s: list[float] = []

        def timed() -> T:
            start = time.perf_counter()
            result = plain()
            plain_s.append(time.perf_counter() - start)
            return result

        def plain_first() -> None:
            timed()

        expected = timed()
        same(ours(), expected)
        if rounds == 1:
            benchmark.pedantic(ours, rounds=1)
        else:
            plain_s.clear()
            benchmark.pedantic(ours, setup=plain_first, rounds=rounds)
        kind = results.this_cpu()
        before = results.committed(kind)

        def measured(ours_s: float) -> Measured:
            theirs_s = statistics.median(plain_s)
            return Measured(request.node.name, "the plain way", theirs_s / ours_s, 1e3 * ours_s, 1e3 * theirs_s, floor)

        found = measured(benchmark.stats.stats.median)
        wanted = results.least(found.key, floor, before) or 0.0
        for _ in range(SECOND_LOOKS):
            if found.ratio < wanted:
                plain_s.clear()
                ours_s = []
                for _ in range(rounds):
                    timed()
                    start = time.perf_counter()
                    ours()
                    ours_s.append(time.perf_counter() - start)
                found = max(found, measured(statistics.median(ours_s)), key=lambda m: m.ratio)
        _kept.append((kind, found))
        benchmark.extra_info.update(ratio=round(found.ratio, 2), least=round(wanted, 2))
        assert found.ratio >= wanted, f"{found.ratio:.2f} times faster than the plain way, not {wanted:.2f}"
        return found.ratio

    return compare


@pytest.fixture
def stream() -> Iterator[Any]:
    """Torch's and CuPy's, on a GPU."""
    if gpu() is None:
        pytest.skip("no NVIDIA GPU here")
    with shared_stream() as one:
        yield one


@pytest.fixture
def on_gpu(stream: Any, benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> OnGpu:
    """Time a work against its rivals on the GPU, in turns, by events; wall time is pytest-benchmark's."""
    kind = results.this_gpu()
    assert kind is not None  # there is one, so its driver names it

    def compare(work: Work, rivals: Rivals) -> None:
        assert work.right(work.run()), f"{work.name} is wrong"
        for name, (run, right) in rivals.items():
            assert right(run()), f"{name} is wrong"
        times: dict[str, list[float]] = {name: [] for name in ("", *rivals)}
        for _ in range(GPU_ROUNDS):
            for name, taken in times.items():
                taken.append(seconds_of(rivals[name][0] if name else work.run, "cuda"))
        ours_s = statistics.median(times[""])

        def waited() -> None:
            work.run()
            stream.synchronize()

        benchmark.pedantic(waited, rounds=GPU_ROUNDS)
        times_floor = ours_s * peak("cuda").bytes_s / work.moved_bytes
        before = results.committed(kind)
        for name in rivals:
            theirs_s = statistics.median(times[name])
            found = Measured(request.node.name, name, theirs_s / ours_s, 1e3 * ours_s, 1e3 * theirs_s, None, times_floor)
            _kept.append((kind, found))
            wanted = results.least(found.key, None, before)
            assert wanted is None or found.ratio >= wanted, f"{found.ratio:.2f} times faster than {name}, not {wanted:.2f}"

    return compare
