"""`lungscan evaluate` against the official script's figures, on hand-made tables, and with tables that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.errors import InputRefused, UsageError
from tests.conftest import ROOT

MARKED = "seriesuid,coordX,coordY,coordZ,probability\na,0,0,1,0.9\nb,90,0,0,0.8\n"


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Two scans; the nodule of `a` is marked, that of `b` is not."""
    written = {
        "annotations": "seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,6\nb,1.5,2.5,-3.5,8\n",
        "excluded": "seriesuid,coordX,coordY,coordZ,diameter_mm\n",
        "series": "a\nb\n",
        "predictions": MARKED,
    }
    for name, text in written.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return {name: tmp_path / f"{name}.csv" for name in written}


def arguments(tables: dict[str, Path], *more: str) -> list[str]:
    return ["evaluate", "froc", *(str(v) for name, path in tables.items() for v in (f"--{name}", path)), *more]


def test_the_official_figure_comes_from_the_command_line_in_two_seconds(data: Path) -> None:
    official = json.loads((data / "evaluation" / "expected.json").read_text())
    tables = {name: data / "evaluation" / file for name, file in official["files"].items()}
    code = "from lungscan.commands import main; main()"
    best = 60.0
    for _ in range(3):  # others may use this machine
        began = time.perf_counter()
        command = [sys.executable, "-c", code, *arguments(tables, "--json")]
        out = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
        best = min(best, time.perf_counter() - began)
    result = json.loads(out)
    assert result["cpm"] == pytest.approx(official["cpm"], abs=5e-5)
    assert result["sensitivities"] == pytest.approx(official["sensitivities"], abs=5e-5)
    assert best < 2


def test_the_table_says_the_mean_the_counts_and_what_is_missed(tables: dict[str, Path]) -> None:
    result = CliRunner().invoke(app, arguments(tables), env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "CPM 0.5000" in result.stdout
    assert "2 scans, 2 nodules: 1 marked, 1 not marked; 2 marks: 1 false positives" in result.stdout
    assert "b: 8.0 mm at 1.5, 2.5, -3.5 mm, no mark" in result.stdout


def test_the_folder_holds_what_stdout_says(tables: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    result = CliRunner().invoke(app, arguments(tables, "--json", "-o", str(folder)))
    assert (folder / "froc.json").read_text() == result.stdout
    (miss,) = json.loads(result.stdout)["misses"]
    assert miss == {"series": "b", "centre_xyz_mm": [1.5, 2.5, -3.5], "diameter_mm": 8.0, "best_score": None}


def test_a_missing_table_is_named(tables: dict[str, Path]) -> None:
    tables["excluded"].unlink()
    error = CliRunner().invoke(app, arguments(tables)).exception
    assert isinstance(error, UsageError)
    assert "excluded.csv" in str(error)


def test_a_missing_column_is_named_with_its_file(tables: dict[str, Path]) -> None:
    tables["predictions"].write_text(MARKED.replace("probability", "score"))
    error = CliRunner().invoke(app, arguments(tables)).exception
    assert isinstance(error, InputRefused)
    assert "predictions.csv, line 1: there is no column probability" in str(error)
