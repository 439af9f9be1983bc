"""`lungscan doctor` against what Python itself says is installed."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from typer.testing import CliRunner

from lungscan.commands import app


@pytest.mark.parametrize("package", ["openvino", "onnxruntime", "torch", "pillow", "matplotlib", "blosc2"])
def test_what_is_installed_is_ready_with_its_version(package: str) -> None:
    parts = {part["name"]: part for part in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    try:
        installed = version(package)
    except PackageNotFoundError:
        assert parts[package]["remedy"].startswith("pip install")
        return
    assert parts[package]["ready"]
    assert installed in parts[package]["found"]


def test_what_is_missing_comes_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("lungscan.checkup.version", nothing)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("lungscan.checkup.shutil.which", lambda _: None)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    parts = {part["name"]: part for part in json.loads(result.stdout)}
    assert not any(parts[name]["ready"] for name in ("openvino", "onnxruntime", "torch", "blosc2", "gpu"))
    assert parts["onnxruntime"]["remedy"] == "pip install 'lungscan-ct[onnxruntime]'"
    assert parts["torch"]["remedy"] == "pip install 'lungscan-ct[train]'"
    assert "pip install" in CliRunner().invoke(app, ["doctor"]).stdout
