"""`lungscan doctor` against what Python itself says is installed, and its plans against what scans then took."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lungscan import checkup
from lungscan.commands import app
from lungscan.phantom import make_chest
from lungscan.phantom.writers import write
from tests.conftest import ROOT

SAME = ("openvino", "onnxruntime", "torch", "matplotlib", "blosc2", "nncf", "highdicom", "ray", "triton")
DISTRIBUTIONS = {**{name: name for name in SAME}, "tensorrt_rtx": "tensorrt-rtx", "tensorrt": "tensorrt"}
TOOK = """
import sys
from lungscan.pipeline import examine
from lungscan.settings import Settings

examine(sys.argv[1], Settings(lung_gate=sys.argv[2] == "gate"))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("part", DISTRIBUTIONS)
def test_what_is_installed_is_ready_with_its_version(part: str) -> None:
    parts = {part["name"]: part for part in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    try:
        installed = version(DISTRIBUTIONS[part])
    except PackageNotFoundError:
        assert parts[part]["remedy"].startswith("pip install")
        return
    assert parts[part]["ready"]
    assert installed in parts[part]["found"]


def test_what_is_missing_comes_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("lungscan.checkup.version", nothing)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("lungscan.checkup.shutil.which", lambda _: None)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    parts = {part["name"]: part for part in json.loads(result.stdout)}
    assert not any(parts[name]["ready"] for name in ("openvino", "onnxruntime", "torch", "blosc2", "cupy", "ray", "gpu"))
    assert parts["onnxruntime"]["remedy"] == "pip install 'lungscan-ct[onnxruntime]'"
    assert parts["torch"]["remedy"] == "pip install 'lungscan-ct[train]'"
    assert parts["cupy"]["remedy"] == "pip install 'lungscan-ct[gpu]'"
    assert "pip install" in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.parametrize(("capability", "engine"), [((9, 0), "torch"), ((12, 0), "tensorrt_rtx")])
def test_a_gpu_is_told_with_the_engine_that_serves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capability: tuple[int, int], engine: str
) -> None:
    """TensorRT for RTX knows 12.0 and not 9.0."""
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho 'NVIDIA Card, 143771 MiB, 580.65, {capability[0]}.{capability[1]}'\n")
    smi.chmod(0o755)
    monkeypatch.setattr("lungscan.checkup.shutil.which", lambda _: str(smi))
    monkeypatch.setattr("lungscan.engines.shared_stream.capability", lambda: capability)
    *_, part = checkup.checkup()
    assert part.ready
    for told in ("NVIDIA Card", "143771 MiB", f"{capability[0]}.{capability[1]}", "580.65", f"by {engine}", "--device cuda"):
        assert told in part.found


def test_a_gpu_without_cupy_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"name": "NVIDIA Card", "memory": "8 GB", "driver": "580.65", "capability": "8.9"}
    monkeypatch.setattr("lungscan.checkup.gpu", lambda: facts)
    *_, part = checkup.checkup()
    assert not part.ready
    assert "lungscan-ct[gpu]" in part.remedy or "no CUDA device" in part.remedy


@pytest.fixture(scope="module")
def thick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest of 400 slices of 480 x 480, each voxel of a coarse phantom made finer."""
    made = make_chest(7, spacing_irc_mm=(4.0, 3.0, 3.0)).volume
    hu = made.hu.repeat(6, axis=0).repeat(4, axis=1).repeat(4, axis=2)[:400]
    grid = replace(made.grid, shape=hu.shape, spacing_irc_mm=(4 / 6, 0.75, 0.75))
    return write(replace(made, hu=np.ascontiguousarray(hu), grid=grid), tmp_path_factory.mktemp("thick"))


def planned(path: Path, *options: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["doctor", "--plan", str(path), "--json", *options])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def took(path: Path, gate: str) -> int:
    command = [sys.executable, "-c", TOOK, str(path), gate]
    return 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def assert_bounds(host_bytes: object, peak: int) -> None:
    """Never under what the scan took, and not far over it."""
    assert isinstance(host_bytes, int)
    assert peak <= host_bytes <= 1.3 * peak


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from Linux's /proc")
def test_the_memory_of_a_thick_scan_is_bounded(thick: Path) -> None:
    told = planned(thick)
    assert told["shape_irc"] == [400, 480, 480]
    assert told["device_bytes"] == 0
    assert_bounds(told["host_bytes"], took(thick, "gate"))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from Linux's /proc")
def test_the_memory_of_a_real_scan_is_bounded(data: Path) -> None:
    path = data / "lidc" / "LIDC-IDRI-0001.zip"
    assert_bounds(planned(path)["host_bytes"], took(path, "gate"))


def test_a_plan_in_words(thick: Path) -> None:
    out = CliRunner().invoke(app, ["doctor", "--plan", str(thick)]).stdout
    for told in ("host memory", "at most", "about", "none"):
        assert told in out
