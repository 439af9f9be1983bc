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

from lungscan import weights
from lungscan.errors import UsageError
from lungscan.explanation import explain
from lungscan.findings import Nodule, Report
from lungscan.phantom import Phantom, PhantomNodule, make_chest, writers
from lungscan.pipeline import Networks, examine, examine_volume, scan
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.volume import series_hash
from lungscan.weights.card import Calibration, OperatingPoint
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


def test_the_phantoms_larger_nodules_are_found_and_little_else(phantom: Phantom, report: Report) -> None:
    def hit(n: Nodule, t: PhantomNodule) -> bool:
        return math.dist(n.centre_xyz_mm, t.centre_xyz_mm) <= t.diameter_mm / 2

    larger = [t for t in phantom.nodules if t.diameter_mm >= 10]
    assert larger
    assert all(any(hit(n, t) for n in report.nodules) for t in larger)
    assert sum(not any(hit(n, t) for t in phantom.nodules) for n in report.nodules) <= 3


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


def test_what_the_card_warns_of_stands_in_the_report(report: Report) -> None:
    warning = weights.load(weights.shipped()).card.about["warning"]
    assert warning in [notice.message for notice in report.warnings]


@pytest.fixture(scope="module")
def calibrated(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped networks with a card that knows more: calibrations, operating points, and the phantom as trained on."""
    loaded = weights.load(weights.shipped())
    assert loaded.malignancy is not None
    card = replace(
        loaded.card,
        nodule_calibration=Calibration(0.5, 0.25, 0.75, -1.5),
        malignancy_calibration=Calibration(0.5, 0.0, 1.5, 0.25),
        operating_points=(OperatingPoint(0.25, 0.9, 0.7), OperatingPoint(1.0, 0.3, 0.8), OperatingPoint(4.0, 0.05, 0.9)),
        trained_on=(series_hash(phantom.volume.source.series_uid),),
    )
    networks = {"segmentation": loaded.segmentation, "nodule": loaded.nodule, "malignancy": loaded.malignancy}
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    weights.save(path, card, networks)
    return path


def test_a_calibrated_probability_is_the_line_through_logits(file: Path, calibrated: Path, tmp_path: Path) -> None:
    """The same candidates, each P(nodule) on the line 0.5 logit(p) + 0.25 logit(peak) + 0.75 ln(diameter / 10) - 1.5."""
    told = scan(file, replace(FP32, weights=calibrated))
    loaded = weights.load(calibrated)
    networks = {"segmentation": loaded.segmentation, "nodule": loaded.nodule}
    bare = replace(loaded.card, malignancy=None, nodule_calibration=None, malignancy_calibration=None)
    weights.save(tmp_path / "bare", bare, networks)
    before = {n.centre_xyz_mm: n for n in scan(file, replace(FP32, weights=tmp_path / "bare")).candidates.all}
    assert before.keys() == {n.centre_xyz_mm for n in told.candidates.all}
    for n in told.candidates.all:
        raw = before[n.centre_xyz_mm]
        p, peak = (min(max(v, 1e-7), 1 - 1e-7) for v in (raw.p_nodule, raw.p_segmentation))
        line = 0.5 * math.log(p / (1 - p)) + 0.25 * math.log(peak / (1 - peak)) + 0.75 * math.log(n.diameter_mm / 10) - 1.5
        assert math.log(n.p_nodule / (1 - n.p_nodule)) == pytest.approx(line, abs=1e-6)


def test_more_false_positives_a_scan_remove_no_finding(file: Path, calibrated: Path) -> None:
    few, more, most = (scan(file, replace(FP32, weights=calibrated, fp_per_scan=rate)) for rate in (0.5, 1.0, 4.0))
    assert [r.settings.thresholds.nodule for r in (few, more, most)] == [0.9, 0.3, 0.05]
    places = [{n.centre_xyz_mm for n in r.nodules} for r in (few, more, most)]
    assert places[0] < places[2]
    assert places[0] <= places[1] <= places[2]
    suspicious = [{n.centre_xyz_mm for n in r.nodules if n.suspicious} for r in (few, more, most)]
    assert suspicious[0] <= suspicious[1] <= suspicious[2]


def test_lower_thresholds_remove_no_finding_of_calibrated_networks(file: Path, calibrated: Path) -> None:
    own = FP32, replace(FP32, threshold_segmentation=0.1, threshold_nodule=0.2, threshold_malignancy=0.2)
    few, more = (scan(file, replace(s, weights=calibrated)) for s in own)
    after = {n.centre_xyz_mm: n for n in more.nodules}
    assert few.nodules
    for n in few.nodules:
        assert after[n.centre_xyz_mm].p_nodule == n.p_nodule
        assert after[n.centre_xyz_mm].p_malignant == n.p_malignant


def test_a_calibrated_finding_is_explained_by_its_own_figures(file: Path, calibrated: Path) -> None:
    e = examine(file, replace(FP32, weights=calibrated, fp_per_scan=1.0))
    assert len(e.report.nodules) < len(e.report.candidates.all)
    for n in e.report.candidates.all:
        told = explain(e, n.centre_xyz_mm)
        step = next(s for s in told.steps if s.gate == "P(nodule)")
        assert (step.value, step.threshold) == (n.p_nodule, 0.3)
        assert (told.stopped_at is None) == (n.p_nodule >= 0.3)


def test_a_scan_that_the_weights_were_trained_on_is_told(file: Path, calibrated: Path, tmp_path: Path) -> None:
    def codes(path: Path, settings: Settings) -> set[str]:
        return {w.code for w in scan(path, replace(settings, weights=calibrated)).warnings}

    assert "trained_on" in codes(file, FP32)
    other = writers.write(make_chest(7, 1, spacing_irc_mm=(3.0, 1.4, 1.4)).volume, tmp_path, "mhd")
    assert "trained_on" not in codes(other, FP32)


def test_settings_beside_which_the_rate_does_not_hold_are_told(file: Path, calibrated: Path) -> None:
    asked = replace(FP32, weights=calibrated, fp_per_scan=1.0)
    for settings, told in ((asked, False), (replace(asked, threshold_segmentation=0.2), True)):
        assert ("operating_point" in {w.code for w in scan(file, settings).warnings}) == told


def test_open_networks_serve_many_scans(file: Path, report: Report) -> None:
    networks = Networks.open(FP32)
    volume = read(file)
    for _ in range(2):
        again = examine_volume(volume, networks, FP32).report
        assert replace(again, created="", timing_s={}) == replace(report, created="", timing_s={})


def test_a_rate_that_is_not_known_starts_no_engine(calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungscan.pipeline.open_engine", None)
    with pytest.raises(UsageError, match="fp-per-scan"):
        Networks.open(Settings(weights=calibrated, fp_per_scan=0.1))
