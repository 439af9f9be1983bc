"""`lungscan verify`: every engine of this machine against PyTorch, with the shipped networks on a phantom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.parity import gate
from lungscan.parity import verify as verification
from lungscan.parity.compare import BOUNDS, Parity
from lungscan.parity.gate import Check
from lungscan.pipeline import Examination
from lungscan.volume import Volume


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, coarse: Volume, expected: Examination
) -> Iterator[tuple[int, dict[str, Any]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(gate, "specimen", lambda _: coarse)
        patch.setattr(gate, "examined", lambda *_: expected)
        result = CliRunner().invoke(app, ["verify", "--json"])
        yield result.exit_code, json.loads(result.stdout)


def test_all_agree(told: tuple[int, dict[str, Any]]) -> None:
    code, told_ = told
    assert code == 0
    assert str(told_["reference"]).startswith("torch")
    compared = [check for check in told_["checks"] if check["parity"] is not None]
    assert {("openvino", "fp32"), ("onnxruntime", "fp32")} <= {(check["engine"], check["precision"]) for check in compared}
    assert all(check["holds"] and check["parity"]["nodules"] >= 3 for check in compared)


def test_float32_engines_are_as_near_as_float32_is(told: tuple[int, dict[str, Any]]) -> None:
    for check in told[1]["checks"]:
        if check["precision"] == "fp32":
            assert check["parity"]["heatmap"] < 1e-4
            assert check["parity"]["unpaired"] == 0


def test_what_cannot_run_here_says_why(told: tuple[int, dict[str, Any]]) -> None:
    for check in told[1]["checks"]:
        assert (check["parity"] is None) == bool(check["missing"])


def test_one_that_parts_ends_with_4(told: tuple[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [check for check in told[1]["checks"] if check["parity"]]
    figures = {**found[0]["parity"], "bounds": BOUNDS["fp32"], "partings": ()}
    good = Check("openvino", "cpu", "fp32", Parity(**figures))
    assert good.parity is not None
    bad = replace(good, parity=replace(good.parity, p_nodule=0.5))
    for checks, code, word in (([good], 0, "agrees"), ([good, bad], 4, "parts")):
        monkeypatch.setattr(verification, "verify", lambda *_, checks=checks: ("torch", iter(checks)))
        result = CliRunner().invoke(app, ["verify"])
        assert result.exit_code == code
        assert word in result.stdout


def test_a_missing_weights_file_is_told() -> None:
    result = CliRunner().invoke(app, ["verify", "--weights", str(Path("no") / "such.safetensors")])
    assert "no weights file" in str(result.exception)
