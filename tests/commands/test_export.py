"""`lungscan export`: what keeps parity is written or installed, what parts is not. The gate runs for real on a phantom."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from lungscan.engines import open_engine, quantised, store
from typer.testing import CliRunner

from lungscan import weights
from lungscan.commands import app, main
from lungscan.errors import EngineUnavailable, UsageError
from lungscan.findings import Candidate
from lungscan.networks import graph
from lungscan.parity import export as exporting
from lungscan.parity import gate
from lungscan.parity.compare import BOUNDS, compare
from lungscan.parity.export import export
from lungscan.pipeline import Examination, Networks
from lungscan.volume import Volume
from lungscan.weights import Weights


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "lungscan" / "engines"


@pytest.fixture(scope="module")
def shipped() -> Weights:
    return weights.load(weights.shipped())


@pytest.fixture
def quick(expected: Examination, coarse: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference examined once, on a coarse phantom."""
    monkeypatch.setattr(gate, "specimen", lambda _: coarse)
    monkeypatch.setattr(exporting, "specimen", lambda _: coarse)
    monkeypatch.setattr(gate, "examined", lambda *_: expected)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("to", "precision"), [("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "bf16"), ("openvino", "fp32"), ("openvino", "fp16")]
)
def test_the_gate_holds_and_files_are_written(shipped: Weights, tmp_path: Path, to: str, precision: str) -> None:
    made = export(shipped, to, precision, folder=tmp_path / "out")
    (check,) = made.checks
    assert check.parity is not None
    assert check.parity.holds
    assert check.parity.nodules >= 3
    assert made.reference.startswith("torch")
    suffixes = {".onnx"} if to == "onnx" else {".xml", ".bin"}
    names = {f"{name}{suffix}" for name in ("segmentation", "nodule", "malignancy") for suffix in suffixes}
    assert {path.name for path in made.files} == {path.name for path in (tmp_path / "out").iterdir()} == names
    if to == "onnx":
        onnx.checker.check_model(tmp_path / "out" / "segmentation.onnx", full_check=True)
    else:
        assert ov.Core().read_model(tmp_path / "out" / "segmentation.xml").input("hu").get_partial_shape()[1] == 7


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_int8_is_installed_and_scans_take_it(shipped: Weights, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="nncf is not installed")
    network = next(gate.networks(shipped))
    with pytest.raises(EngineUnavailable, match="int8"):
        open_engine(network, precision="int8")
    made = export(shipped, "openvino", "int8")
    assert [check.parts for check in made.checks] == [False]
    assert list(tmp_path.glob("openvino-*")) == []
    kept = store.load(quantised.key(network))
    assert kept is not None
    assert "phantom" in kept.facts["verified"]
    engine = open_engine(network, precision="int8")
    assert engine.precision == "int8"
    hu = np.random.default_rng(0).integers(-1000, 400, (1, 7, 64, 64)).astype(np.float32)
    ours, theirs = (next(e([hu])) for e in (engine, open_engine(network, precision="fp32")))
    assert 0 < np.abs(ours - theirs).max() < 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_int8_that_parts_is_made_again_with_finer_levels_in_float32(
    shipped: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in the file: the convolutions whose weights are no int8 are those of the finest level."""
    pytest.importorskip("nncf", reason="nncf is not installed")
    judge, asked = gate.Gate.judge, []

    def strict(self: gate.Gate, engine: str, precision: str, theirs: Networks) -> tuple[gate.Check, ...]:
        (check,) = judge(self, engine, precision, theirs)
        asked.append(check)
        assert check.parity is not None
        return (check if len(asked) > 1 else replace(check, parity=replace(check.parity, p_nodule=1.0)),)

    monkeypatch.setattr(gate.Gate, "judge", strict)
    made = export(shipped, "openvino", "int8")
    assert len(asked) == 2
    assert [check.parts for check in made.checks] == [False]
    (xml,) = [path for path in made.files if path.suffix == ".xml"]
    model = ov.Core().read_model(xml)
    in_float = {
        node.get_friendly_name().split("/")[0].split(".conv")[0]
        for node in model.get_ops()
        if node.get_type_name() == "Convolution" and "i8" not in _types(node.input_value(1).get_node())
    }
    assert in_float == {"down.0", "up.2.up", "up.2.block", "last"}


def _types(node: Any) -> set[str]:
    """Of a node's output and of all that it is made of."""
    return {node.get_element_type().get_type_name()}.union(*(_types(x.get_node()) for x in node.input_values()))


@pytest.mark.usefixtures("quick")
def test_what_parts_is_not_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other weights of the same shape in the exported graph: the table shows the nodules that were lost."""
    real = graph.retyped

    def shaken(network: graph.Network, precision: str) -> graph.Network:
        return real(replace(network, tensors={k: v * np.float32(0.9) for k, v in network.tensors.items()}), precision)

    monkeypatch.setattr(graph, "retyped", shaken)
    monkeypatch.setattr(sys, "argv", ["lungscan", "export", "--to", "onnx", "--precision", "fp16", "-o", "out"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 4
    out = capsys.readouterr()
    assert "parts" in out.out
    assert "no candidate" in out.out or "P(nodule), reference" in out.out
    assert not (tmp_path / "out").exists()
    assert not home.exists()


def test_a_plan_for_another_gpu_is_built_and_not_verified(home: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    for _ in range(2):
        result = CliRunner().invoke(app, ["export", "--to", "tensorrt", "--precision", "fp16", "--target", "sm_120"])
        assert result.exit_code == 0
        assert "not verified" in result.stdout
    assert len(list(home.glob("*.plan"))) == 3
    assert all(path.stat().st_size > 100_000 for path in home.glob("*.plan"))


@pytest.mark.parametrize(
    ("to", "precision", "target"),
    [("onnx", "int8", None), ("openvino", "bf16", None), ("tensorrt", "int8", "sm_120"), ("onnx", "fp16", "sm_120")],
)
def test_what_is_not_offered_is_refused(shipped: Weights, to: str, precision: str, target: str | None) -> None:
    with pytest.raises(UsageError, match=r"offered in|goes with"):
        export(shipped, to, precision, target=target)


def test_a_scan_without_candidates_compares_nothing(shipped: Weights, coarse: Volume) -> None:
    class Nothing:
        name = version = precision = device = ""

        def __call__(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            for batch in batches:
                yield np.zeros((len(batch), *batch.shape[2:]), np.float32)

    nobody = gate.opened(shipped, lambda _: Nothing())
    with pytest.raises(UsageError, match="--on"):
        gate.examined(coarse, nobody)


def moved(candidate: Candidate, mm: float = 0.0, p: float = 0.0) -> Candidate:
    x, y, z = candidate.centre_xyz_mm
    return replace(candidate, centre_xyz_mm=(x + mm, y, z), p_nodule=(candidate.p_nodule or 0) + p)


def among(expected: Examination, *candidates: Candidate) -> Examination:
    return replace(expected, candidates=candidates)


def test_bounds_are_kept_to_the_letter(expected: Examination) -> None:
    threshold = expected.report.settings.thresholds.nodule
    sure = max(expected.candidates, key=lambda c: (c.p_nodule or 0, c.diameter_mm))
    sure = replace(sure, p_nodule=threshold + 0.1)
    bounds = BOUNDS["fp16"]
    inside, outside = 0.99, 1.01
    for mm, p, holds in (
        (0, 0, True),
        (inside * bounds.centre_mm, 0, True),
        (outside * bounds.centre_mm, 0, False),
        (0, inside * bounds.probability, True),
        (0, -outside * bounds.probability, False),
    ):
        found = compare(among(expected, sure), among(expected, moved(sure, mm, p)), "fp16")
        assert found.holds == holds
        assert found.centre_mm == pytest.approx(mm)
        assert found.p_nodule == pytest.approx(abs(p))


def test_a_nodule_of_one_alone_is_a_parting(expected: Examination) -> None:
    threshold = expected.report.settings.thresholds.nodule
    nodule = replace(expected.candidates[0], p_nodule=threshold + 0.001)
    below = replace(nodule, p_nodule=threshold - 0.001)
    for a, b in ((nodule, below), (below, nodule)):
        (parting,) = compare(among(expected, a), among(expected, b), "int8").partings
        assert (parting.reference, parting.engine) == (a, b)
    far = moved(nodule, mm=3 * nodule.diameter_mm)
    partings = compare(among(expected, nodule), among(expected, far), "int8").partings
    assert {(p.reference, p.engine) for p in partings} == {(nodule, None), (None, far)}


def test_candidates_that_are_none_may_differ_up_to_a_share(expected: Examination) -> None:
    place = expected.candidates[0]
    many = [replace(moved(place, mm=100.0 * k), p_nodule=0.0, diameter_mm=5.0) for k in range(100)]
    limit = round(100 * BOUNDS["fp16"].unpaired)
    for missing in (limit, limit + 1):
        found = compare(among(expected, *many), among(expected, *many[missing:]), "fp16")
        assert found.unpaired == missing
        assert found.holds == (missing <= limit)
