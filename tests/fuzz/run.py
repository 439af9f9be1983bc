"""`python -m tests.fuzz.run CASES [FIRST]`: the fuzzer over all cores. This process only looks on, and never dies.

A worker that says nothing for longer than a case may take, or ends before its last case, has found something: the case is
named, and a new worker goes on after it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

CASE_S = 20.0
"""By the clock on the wall, of which a busy machine lets a worker have half; 10 s of its own time are the promise."""

START_S = 120.0
MEMORY_BYTES = 3 * 2**29
"""Address space of a worker with SimpleITK, NumPy and pydicom loaded: 600 MB of it are there before the first case."""

ROOT = Path(__file__).parents[2]


@dataclass
class Found:
    """How the cases ended, those that ended otherwise than by an answer or a refusal, and the longest one's seconds."""

    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def add(self, other: Found) -> None:
        self.endings += other.endings
        self.wrong += other.wrong
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def fuzz(cases: int, first: int = 0, workers: int = os.cpu_count() or 1) -> Found:
    """Run some cases, split evenly over the workers."""
    bounds = [first + cases * k // workers for k in range(workers + 1)]
    found = Found()
    with ThreadPoolExecutor(workers) as pool:
        for part in pool.map(_part, bounds[:-1], bounds[1:]):
            found.add(part)
    return found


def _part(first: int, last: int) -> Found:
    found = Found()
    while first < last:
        with tempfile.TemporaryDirectory() as folder:
            reached = _worker(folder, first, last, found)
        if reached < last:
            found.endings["died"] += 1
            found.wrong.append(f"case {reached} ended its process or took longer than {CASE_S:.0f} s")
        first = reached + 1
    return found


def _worker(folder: str, first: int, last: int, found: Found) -> int:
    """Run cases in one process; returns the case it did not come through, or `last`."""
    command = [sys.executable, "-m", "tests.fuzz.worker", folder, str(first), str(last), str(MEMORY_BYTES)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    assert process.stdout is not None
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    case = first
    for line in process.stdout:
        timer.cancel()
        number, name, seconds, end = line.rstrip("\n").split("\t", 3)
        case = int(number) + 1
        found.endings[end if end in ("ok", "warning", "refused") else "wrong"] += 1
        found.slowest_s = max(found.slowest_s, float(seconds))
        if end not in ("ok", "warning", "refused"):
            found.wrong.append(f"case {number} ({name}): {end}")
        timer = threading.Timer(CASE_S, process.kill)
        timer.start()
    timer.cancel()
    process.wait()
    process.stdout.close()
    return case


if __name__ == "__main__":
    result = fuzz(*map(int, sys.argv[1:3]))
    print(*result.wrong, sep="\n", file=sys.stderr)
    print(f"{sum(result.endings.values())} cases: {dict(result.endings)}; the slowest took {result.slowest_s:.2f} s")
    sys.exit(bool(result.wrong))
