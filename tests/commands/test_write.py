"""`lungscan scan --write` and `--show` from the command line: where files and words go. The pipeline is replaced."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lungscan.pipeline
from lungscan.commands import app, main
from lungscan.settings import Settings
from tests.report.made import Made, made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths that were scanned, each to the made-up examination."""
    paths: list[Path] = []

    def examine(path: Path, _: Settings, __: Any) -> Made:
        paths.append(path)
        return made()

    monkeypatch.setattr(lungscan.pipeline, "examine", examine)
    return paths


@pytest.mark.usefixtures("asked")
def test_several_kinds_in_one_call_and_json_alone_on_stdout(tmp_path: Path) -> None:
    kinds = [word for kind in ("html", "csv", "nifti", "markups") for word in ("--write", kind)]
    result = CliRunner().invoke(app, ["scan", "x.mhd", "--json", "--show", *kinds, "-o", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["nodules"]) == 2
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["nodules.csv", "nodules.mrk.json", "nodules.nii.gz", "report.html"]


@pytest.mark.usefixtures("asked")
def test_thumbnails_are_for_terminals() -> None:
    plain = CliRunner().invoke(app, ["scan", "x.mhd"])
    shown = CliRunner().invoke(app, ["scan", "x.mhd", "--show"])
    assert plain.exit_code == shown.exit_code == 0
    assert plain.stdout == shown.stdout


def test_dicom_out_of_what_is_none_costs_no_scan(asked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("highdicom")
    scan = tmp_path / "x.mhd"
    scan.write_text("NDims = 3\n")
    monkeypatch.setattr(sys, "argv", ["lungscan", "scan", str(scan), "--write", "seg", "-o", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert asked == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["png", "html", "csv", "nrrd", "markups"])
@pytest.mark.usefixtures("asked")
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("overview.png", "report.html", "nodules.csv", "nodules.nrrd", "nodules.mrk.json"):
        (tmp_path / name).write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(sys, "argv", ["lungscan", "scan", "x.mhd", "--write", kind, "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "No space left" in capsys.readouterr().err
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    assert len(list(tmp_path.iterdir())) == 5
