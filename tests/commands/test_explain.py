"""`lungscan explain`: which place is meant, and that what is no place is refused before the scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lungscan.pipeline
from lungscan.commands import app
from lungscan.errors import UsageError
from lungscan.pipeline import Examination
from tests.test_explanation import NODULE, examination, place

__all__ = ["examination"]  # a fixture


@pytest.fixture
def calls(examination: Examination, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []

    def examine(path: Path, settings: Any, progress: Any) -> Examination:  # noqa: ARG001
        made.append(settings)
        return examination

    monkeypatch.setattr(lungscan.pipeline, "examine", examine)
    return made


@pytest.mark.usefixtures("calls")
def test_a_place_and_a_number_mean_the_same() -> None:
    at = ",".join(map(str, place(NODULE)))
    told = [
        CliRunner().invoke(app, ["explain", "x", "--json", *which]).stdout
        for which in (["--at", at], [f"--at={at}"], ["--finding", "1"])
    ]
    verdicts = [json.loads(text)["verdict"] for text in told]
    assert verdicts == ["kept as finding 1, not suspicious"] * 3


@pytest.mark.usefixtures("calls")
def test_in_a_terminal_each_value_stands_beside_its_threshold() -> None:
    text = CliRunner().invoke(app, ["explain", "x", "--finding", "1"]).stdout
    assert "0.8000, threshold 0.6" in text
    assert "0.3000, threshold 0.7" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "which",
    [[], ["--at", "1,2,3", "--finding", "1"], ["--at", "1,2"], ["--at", "1,2,x"], ["--at", "nan,0,0"], ["--at", "1,2,inf"]],
)
def test_what_is_no_place_costs_no_scan(calls: list[Any], which: list[str]) -> None:
    result = CliRunner().invoke(app, ["explain", "x", *which])
    assert isinstance(result.exception, UsageError)
    assert calls == []


@pytest.mark.usefixtures("calls")
def test_a_finding_that_is_not_there() -> None:
    result = CliRunner().invoke(app, ["explain", "x", "--finding", "3"])
    assert isinstance(result.exception, UsageError)
    assert "2 candidates" in str(result.exception)
