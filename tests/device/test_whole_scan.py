"""A scan wholly on a GPU, by the GPU's code run on a CPU: the same result as on the host, and one copy back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT

CASES = ("native", "lower", "resampled")


@pytest.fixture(scope="module")
def scans() -> Any:
    pytest.importorskip("triton", reason="no Triton here: pip install triton")
    if shutil.which("g++") is None:
        pytest.skip("no g++ here to compile the CUDA kernels for a CPU")
    command = [sys.executable, "-m", "tests.device.whole_scan"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_one_copy_comes_back_and_the_host_waits_for_nothing_else(scans: Any, case: str) -> None:
    counts = scans[case]["cuda"]["counts"]
    assert (counts["to_host"], counts["waits"]) == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_gpu_finds_what_the_host_finds(scans: Any, case: str) -> None:
    host, gpu = scans[case]["cpu"], scans[case]["cuda"]
    assert gpu["report"]["candidates"] == host["report"]["candidates"]
    assert gpu["report"]["nodules"] == host["report"]["nodules"]
    assert gpu["cores"] == host["cores"]
    assert len(host["report"]["candidates"]["all"]) >= 3


@pytest.mark.slow
def test_the_host_s_engines_see_the_host(scans: Any) -> None:
    """Without a GPU nothing goes there."""
    assert all(count == 0 for case in CASES for count in scans[case]["cpu"]["counts"].values())
