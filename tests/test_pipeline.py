"""A scan from files to a report, with the shipped weights on phantoms."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungscan.findings import Nodule, Report
from lungscan.phantom import Phantom, PhantomNodule, make_chest, writers
from lungscan.pipeline import examine, scan
from lungscan.settings import Settings
from tests.conftest import ROOT

FP32 = Settings(precision="fp32")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_chest(7, 0)


@pytest.fixture(scope="module")
def file(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writers.write(phantom.volume, tmp_path_factory.mktemp("mhd"), "mhd")


@pytest.fixture(scope="module")
def report(file: Path) -> Report:
    return scan(file, FP32)


def test_the_phantoms_larger_nodules_are_found_and_nothing_else(phantom: Phantom, report: Report) -> None:
    def hit(n: Nodule, t: PhantomNodule) -> bool:
        return math.dist(n.centre_xyz_mm, t.centre_xyz_mm) <= t.diameter_mm / 2

    larger = [t for t in phantom.nodules if t.diameter_mm >= 10]
    assert larger
    assert all(any(hit(n, t) for n in report.nodules) for t in larger)
    assert all(any(hit(n, t) for t in phantom.nodules) for n in report.nodules)


def test_the_same_input_gives_the_same_report(file: Path, report: Report) -> None:
    again = scan(file, FP32)
    assert replace(again, created="", timing_s={}) == replace(report, created="", timing_s={})


ORIENTATIONS = ["".join(code) for code in itertools.product("LR", "PA", "SI")] + ["SPL", "AIR"]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_axes_of_the_file_move_no_nodule(phantom: Phantom, report: Report, orientation: str, tmp_path: Path) -> None:
    turned = scan(writers.write(writers.orient(phantom.volume, orientation), tmp_path, "mhd"), FP32)
    same_nodules(report, turned)


@pytest.mark.parametrize(
    ("kind", "orientation"), [("dicom", "LPS"), ("dicom", "RAS"), ("nifti", "LPS"), ("nifti", "RAI"), ("nrrd", "LPI")]
)
def test_the_format_of_the_file_moves_no_nodule(
    phantom: Phantom,
    report: Report,
    kind: str,
    orientation: str,
    tmp_path: Path,
) -> None:
    turned = scan(writers.write(writers.orient(phantom.volume, orientation), tmp_path, kind), FP32)
    same_nodules(report, turned)


def same_nodules(a: Report, b: Report) -> None:
    assert len(a.nodules) == len(b.nodules) > 0
    for n, m in zip(a.nodules, b.nodules, strict=True):
        assert math.dist(n.centre_xyz_mm, m.centre_xyz_mm) < 0.1
        assert n.diameter_mm == pytest.approx(m.diameter_mm, abs=0.1)
        assert n.p_nodule == pytest.approx(m.p_nodule, abs=1e-3)


def test_indices_point_at_the_nodule_in_the_files_own_voxels(phantom: Phantom, tmp_path: Path) -> None:
    turned = writers.orient(phantom.volume, "RSA")
    report = scan(writers.write(turned, tmp_path, "mhd"), FP32)
    for n in report.nodules:
        np.testing.assert_allclose(turned.grid.xyz(n.centre_irc), n.centre_xyz_mm, atol=1e-2)
        assert all(low - 1 <= at <= high for at, (low, high) in zip(n.centre_irc, n.box_irc, strict=True))
        assert n.slice == round(n.centre_irc[0])


@pytest.mark.parametrize(
    "change", [{"threshold_segmentation": 0.2}, {"threshold_nodule": 0.1}, {"threshold_malignancy": 0.1}]
)
def test_a_lower_threshold_removes_no_finding(file: Path, report: Report, change: dict[str, float]) -> None:
    more = scan(file, replace(FP32, **change))
    places = {n.centre_xyz_mm for n in more.nodules}
    assert {n.centre_xyz_mm for n in report.nodules} <= places
    assert {n.centre_xyz_mm for n in report.nodules if n.suspicious} <= {
        n.centre_xyz_mm for n in more.nodules if n.suspicious
    }


def test_the_lung_gate_changes_nothing_inside_the_lungs(file: Path, report: Report) -> None:
    everywhere = scan(file, replace(FP32, lung_gate=False))
    assert everywhere.lungs is None
    for n in report.nodules:
        nearest = min(everywhere.nodules, key=lambda m: math.dist(n.centre_xyz_mm, m.centre_xyz_mm))
        assert math.dist(n.centre_xyz_mm, nearest.centre_xyz_mm) < 0.1


def test_the_second_engine_agrees(file: Path, report: Report) -> None:
    same_nodules(report, scan(file, replace(FP32, engine="onnxruntime")))


def test_a_scan_imports_no_torch(file: Path) -> None:
    code = "import sys, lungscan; lungscan.scan(sys.argv[1]); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"


def test_the_input_is_left_alone(file: Path) -> None:
    before = [(p, p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(file.parent.iterdir())]
    examine(file, FP32)
    assert before == [(p, p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(file.parent.iterdir())]


def test_the_reports_of_demonstration_weights_say_so(report: Report) -> None:
    assert any("synthetic" in w.message for w in report.warnings)
