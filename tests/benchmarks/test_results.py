"""What counts as a regression, by hand-made figures; and the works and rivals of the GPU's benchmarks give right results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu_check, results
from benchmarks.results import Kind, Measured
from tests.conftest import ROOT

HERE = Kind("Some CPU, 2 cores, AVX-512 bf16", {}, ("numpy", "no-such-package"))
ONE = Measured("test_group", "the plain way", ratio=10.0, ours_ms=2.0, theirs_ms=20.0, floor=4.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return tmp_path


def test_a_ratio_may_fall_by_15_percent_of_the_committed_one() -> None:
    before = {ONE.key: 10.0}
    assert results.least(ONE.key, 4.0, before) == pytest.approx(8.5)


def test_where_nothing_is_committed_the_floor_holds() -> None:
    assert results.least(ONE.key, 4.0, {}) == 4.0
    assert results.least(ONE.key, None, {}) is None


def test_the_lower_of_two_recorded_ratios_stays() -> None:
    other = replace(ONE, name="test_read")
    HERE.file.write_text(results.document(HERE, [ONE, other], {}))
    HERE.file.write_text(results.document(HERE, [replace(ONE, ratio=12.0), replace(other, ratio=9.0)], {}))
    assert results.committed(HERE) == {ONE.key: 10.0, other.key: 9.0}


def test_results_of_another_kind_of_machine_do_not_count() -> None:
    HERE.file.write_text(results.document(HERE, [ONE], {}))
    assert results.committed(HERE) == {ONE.key: 10.0}
    assert results.committed(Kind("Some CPU, 4 cores, AVX-512 bf16", {}, ())) == {}
    assert results.committed(None) == {}


def test_a_file_names_its_machine_and_versions_and_no_host() -> None:
    gpu = Kind("NVIDIA H200", {"name": "NVIDIA H200", "driver": "580.65"}, ("numpy", "no-such-package"))
    told = json.loads(results.document(gpu, [replace(ONE, times_floor=1.25)], {"test_scan[300]": {"device_ms": 24.5}}))
    assert gpu.file.name == "nvidia-h200.json"
    assert HERE.file.name == "some-cpu-2-cores-avx-512-bf16.json"
    assert told["driver"] == "580.65"
    assert set(told["versions"]) == {"numpy"}
    assert told["ratios"][ONE.key] == {"ratio": 10.0, "ours_ms": 2.0, "theirs_ms": 20.0, "times_floor": 1.25}
    assert told["scans"]["test_scan[300]"]["device_ms"] == 24.5
    assert os.uname().nodename not in json.dumps(told)


def test_the_table_marks_what_regressed() -> None:
    slow, other = replace(ONE, ratio=8.4), replace(ONE, name="test_read", ratio=5.0)
    first, second = results.lines([slow, other], {ONE.key: 10.0})
    assert first.endswith("REGRESSED")
    assert "least 8.50, committed 10.00" in first
    assert "REGRESSED" not in second
    assert "least 4.00" in second


def test_this_machine_s_committed_results_can_be_read() -> None:
    for file in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert all(row["ratio"] > 0 for row in json.loads(file.read_text())["ratios"].values())


def test_without_a_gpu_there_is_nothing_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "gpu", lambda: None)
    assert gpu_check.main() == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.slow
def test_kernels_and_their_rivals_are_right() -> None:
    """By the GPU's code, its kernels interpreted, on a CPU."""
    pytest.importorskip("triton", reason="no Triton here: pip install triton")
    if shutil.which("g++") is None:
        pytest.skip("no g++ here to compile the CUDA kernels for a CPU")
    command = [sys.executable, "-m", "tests.benchmarks.works"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    assert len(told) >= 18
    assert [name for name, right in told.items() if not right] == []
