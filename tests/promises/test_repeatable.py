"""The same scan gives the same report, whatever is in the way of it; and the report says what it takes to repeat it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest
import SimpleITK as sitk
import torch
from safetensors import safe_open

import lungscan
from lungscan import budget, weights
from lungscan.findings import Report
from lungscan.pipeline import Networks, examine_volume
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.stages import segment
from tests.conftest import ROOT
from tests.promises.chest import text, written

FP32 = Settings(precision="fp32")
LAYOUTS = ["".join(code) for code in itertools.product("LR", "PA", "SI")]
PERMUTED = ["SPL", "AIR"]
FORMATS = ["", ".mha", ".nii.gz", ".nrrd"]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.open(FP32)


@pytest.fixture(scope="module")
def report(metaio: Path) -> Report:
    report = lungscan.scan(metaio, FP32)
    assert len(report.nodules) == 3
    assert report.candidates.total > 20
    return report


@pytest.mark.parametrize(("slices", "crops"), [(1, 64), (3, 5), (50, 1), (8, 500)])
def test_no_batch_size_changes_a_byte(
    metaio: Path, networks: Networks, report: Report, slices: int, crops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "SLAB_SLICES", slices)
    monkeypatch.setattr(budget, "wide", lambda: budget.Portions(requests=2, crops=crops))
    assert text(examine_volume(read(metaio), networks, FP32).report) == text(report)


def openvino_on(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make = ov.Core

    def core() -> Any:
        made = make()
        made.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})
        return made

    monkeypatch.setattr(ov, "Core", core)


def onnxruntime_on(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make = ort.SessionOptions

    def options() -> Any:
        made = make()
        made.intra_op_num_threads = threads
        return made

    monkeypatch.setattr(ort, "SessionOptions", options)


def torch_on(threads: int, _: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("engine", "precision", "limit"),
    [
        ("openvino", "auto", openvino_on),
        ("openvino", "fp32", openvino_on),
        ("onnxruntime", "fp32", onnxruntime_on),
        ("torch", "fp32", torch_on),
    ],
)
def test_no_number_of_threads_changes_a_byte(
    metaio: Path,
    engine: str,
    precision: str,
    limit: Callable[[int, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    told = set()
    try:
        for threads in (1, 2, 4):
            with monkeypatch.context() as limited:
                limit(threads, limited)
                told.add(text(lungscan.scan(metaio, Settings(engine=engine, precision=precision))))
    finally:
        torch.set_num_threads(before)
    assert len(told) == 1


@pytest.mark.parametrize(("threads", "seed"), [("1", "1"), ("4", "2")])
def test_another_process_gives_the_same_bytes(metaio: Path, report: Report, threads: str, seed: str) -> None:
    """The command, its hashes of text seeded otherwise, on another number of threads."""
    command = [sys.executable, "-m", "lungscan.commands", "scan", str(metaio), "--json", "--all-candidates"]
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([*command, "--precision", "fp32"], env=environment, capture_output=True, check=True)
    told = json.loads(ran.stdout)
    told["created"], told["timing_s"] = "", {}
    assert json.dumps(told, indent=2) == text(report)


def test_no_order_or_name_of_files_changes_a_byte(dicom: Path, networks: Networks, tmp_path: Path) -> None:
    """Slices from head to feet and from feet to head, under long names in folders of their own, and in a zip at random."""
    files = sorted(dicom.iterdir(), key=lambda file: hashlib.sha256(file.read_bytes()).digest())
    for k, file in enumerate(files):
        for name in (f"up/{k:03d}.dcm", f"down/{len(files) - k:03d}", f"apart/{k}/IM-{hash(file.name)}.ima"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        for k in np.random.default_rng(0).permutation(len(files)):
            archive.write(files[k], f"a/{k}")
    told = {
        text(examine_volume(read(path), networks, FP32).report, "").replace("dicom-zip", "dicom")
        for path in (dicom, tmp_path / "up", tmp_path / "down", tmp_path / "apart", tmp_path / "one.zip")
    }
    assert len(told) == 1


@pytest.mark.parametrize("layout", [*LAYOUTS, *PERMUTED])
def test_axes_and_formats_move_no_nodule(
    image: sitk.Image, networks: Networks, report: Report, layout: str, tmp_path: Path
) -> None:
    """SimpleITK lays out the axes and writes the files. The hash is that of the voxels as they lie in the file; a DICOM
    series has no order but that of its positions, so its slices rise along the normal of rows and columns."""
    turned = sitk.DICOMOrient(image, layout)
    voxels = sitk.GetArrayFromImage(turned)
    mirrored = np.linalg.det(np.reshape(turned.GetDirection(), (3, 3))) < 0
    for suffix in FORMATS:
        told = examine_volume(read(written(turned, tmp_path, suffix)), networks, FP32).report
        assert told.input.sha256 == sha256(voxels[::-1] if mirrored and not suffix else voxels)
        assert len(told.nodules) == len(report.nodules)
        for n, m in zip(told.nodules, report.nodules, strict=True):
            assert math.dist(n.centre_xyz_mm, m.centre_xyz_mm) < 0.1
            assert n.diameter_mm == pytest.approx(m.diameter_mm, abs=0.01)
            assert n.p_nodule == pytest.approx(m.p_nodule, abs=1e-3)


def sha256(voxels: np.ndarray) -> str:
    return hashlib.sha256(repr(voxels.shape).encode() + voxels.tobytes()).hexdigest()


def test_the_report_says_what_it_takes_to_repeat_it(metaio: Path, image: sitk.Image, tmp_path: Path) -> None:
    """Each figure against where it comes from: the file, the packages, the command line."""
    asked = ["--precision", "fp32", "--threshold-segmentation", "0.3", "--threshold-malignancy", "0.7", "--no-lung-gate"]
    command = [sys.executable, "-m", "lungscan.commands", "scan", str(metaio), "--write", "json", "-o", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *asked], env=environment, capture_output=True, check=True)
    told = json.loads((tmp_path / "report.json").read_text())
    used = told["settings"]
    assert told["version"] == lungscan.__version__
    assert used["engine"] == f"openvino {version('openvino')}"
    assert used["versions"]["python"] == sys.version.split()[0]
    for name in ("numpy", "scipy", "pydicom", "python-gdcm"):
        assert used["versions"][name] == version(name)
    assert (used["precision"], used["device"], used["lung_gate"]) == ("fp32", "cpu", False)
    thresholds = used["thresholds"]
    assert (thresholds["segmentation"], thresholds["malignancy"]) == (0.3, 0.7)
    assert told["input"]["path"] == str(metaio)
    assert told["input"]["series_uid"] == "chest"
    assert told["input"]["sha256"] == sha256(sitk.GetArrayFromImage(image))

    with safe_open(weights.shipped(), framework="numpy") as file:
        card = json.loads(file.metadata()["card"])
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    assert used["weights"] == {"name": card["name"], "sha256": card.pop("sha256")}
    content = json.dumps(card, indent=1).encode() + b"".join(n.encode() + t.tobytes() for n, t in tensors.items())
    assert used["weights"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert thresholds["nodule"] == card["thresholds"]["nodule"]

    again = Settings(
        precision=used["precision"],
        lung_gate=used["lung_gate"],
        threshold_segmentation=thresholds["segmentation"],
        threshold_nodule=thresholds["nodule"],
        threshold_malignancy=thresholds["malignancy"],
        series=told["input"]["series_uid"],
    )
    repeated = json.loads(text(lungscan.scan(told["input"]["path"], again)))
    assert repeated["nodules"] == told["nodules"]
