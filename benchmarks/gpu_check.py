"""What `make gpu-check` does where there is an NVIDIA GPU: look at it, run the tests marked `gpu`, then the benchmarks.

All in ten minutes; results go to benchmarks/results/<gpu>.json. Without a GPU there is nothing to check: no failure.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from lungscan.engines.shared_stream import gpu

from lungscan.checkup import checkup

ROOT = Path(__file__).resolve().parent.parent
MINUTES = 10
TESTS_MINUTES = 4
LAST_BENCHMARK_S = 60
"""The longest that a benchmark begun at the last moment may take."""


def main() -> int:
    begun = time.time()
    if gpu() is None:
        print("no NVIDIA GPU that CuPy can use: nothing to check")
        return 0
    for part in checkup():
        print(f"{'ready' if part.ready else 'missing':8} {part.name:14} {part.found}")
    tested = _pytest(begun + 60 * TESTS_MINUTES, "tests", "-m", "gpu")
    end = begun + 60 * MINUTES
    until = f"--until={end - LAST_BENCHMARK_S:.0f}"
    timed = _pytest(end, "benchmarks", "-m", "gpu", "--benchmark-only", "--record", until)
    said = (f"{what} {'passed' if well else 'FAILED'}" for what, well in (("tests", tested), ("benchmarks", timed)))
    print(f"{', '.join(said)}, {time.time() - begun:.0f} s")
    return 0 if tested and timed else 1


def _pytest(end: float, *arguments: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    try:
        return subprocess.run(command, cwd=ROOT, timeout=max(end - time.time(), 1)).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"stopped for want of time: {' '.join(command)}")
        return False


if __name__ == "__main__":
    sys.exit(main())
