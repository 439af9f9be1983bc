"""`lungscan evaluate model` on a tiny cache: what is written and shown, and what is refused before the long work."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lungscan.pipeline
from lungscan import weights
from lungscan.commands import app
from lungscan.errors import EngineUnavailable, InputRefused, UsageError
from lungscan.training.cache import Cache
from tests.evaluation.hand_made import CARD, rules, write_entry
from tests.support import random_networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans, and weights that were trained on the second one."""
    folder = tmp_path_factory.mktemp("evaluate")
    for name in ("seen-not", "seen"):
        write_entry(Cache(folder / "cache"), name, series=name)
    card = replace(CARD, trained_on=("seen",))
    weights.save(folder / "random.safetensors", card, random_networks(card))
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    return ["evaluate", "model", "--weights", str(folder / "random.safetensors"), "--cache", str(folder / "cache"), *more]


def test_json_is_on_stdout_and_in_the_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    result = CliRunner().invoke(app, arguments(folder, "--json", "-o", str(out), "--precision", "fp32"))
    assert result.exit_code == 0, result.output
    assert (out / "evaluation.json").read_text() == result.stdout
    parsed = json.loads(result.stdout)
    assert parsed["weights"]["name"] == "small"
    assert parsed["trained_on"] == ["seen"]
    assert (parsed["figures"]["scans"], len(parsed["figures"]["nodules"])) == (1, 3)
    assert (out / "froc.png").is_file()
    assert len(list((out / "overlays").glob("seen-not-nodule-*.png"))) == 3


def test_the_terminal_says_counts_areas_and_what_lost_a_nodule(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, trained_on=("seen",))
    monkeypatch.setattr(lungscan.pipeline.Networks, "open", lambda _: rules(card))
    result = CliRunner().invoke(app, arguments(folder), env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    for line in (
        "1 scans of 1 patients, 3 nodules",
        "1 left out, as the networks learned from them: seen",
        "1 of 3 nodules found, 0.333 (0.333 to 0.333); 1 false positives, 1.000 (1.000 to 1.000) a scan",
        "P(nodule), 2 against 1",
        "measured diameter",
        "missed: 2",
        "seen-not: 10.0 mm at 25.0, 55.0, 22.0 mm, lost by classifier, best P(nodule) 0.250",
        "seen-not: 10.0 mm at 57.5, 17.5, 22.0 mm, lost by segmentation",
    ):
        assert line in result.stdout
    assert result.stderr == ""


def test_only_the_scans_asked_for_and_the_trained_ones_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, trained_on=("seen",))
    monkeypatch.setattr(lungscan.pipeline.Networks, "open", lambda _: rules(card))
    error = CliRunner().invoke(app, arguments(folder, "--only", "seen")).exception
    assert isinstance(error, InputRefused)
    result = CliRunner().invoke(app, arguments(folder, "--only", "seen", "--include-trained"))
    assert "warning: small was trained on 1 of these scans" in result.stdout


@pytest.mark.parametrize("scans", [[], ["--cache", "c", "--dataset", "d"], ["--dataset", "d", "--set", "training"]])
def test_scans_come_from_one_place(scans: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", "model", *scans])
    assert isinstance(result.exception, UsageError)


def test_what_cannot_be_drawn_is_told_before_the_work(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    error = CliRunner().invoke(app, arguments(folder, "-o", str(tmp_path / "file"))).exception
    assert isinstance(error, UsageError)
    monkeypatch.setattr("lungscan.evaluation.curves.find_spec", lambda _: None)
    error = CliRunner().invoke(app, arguments(folder, "-o", str(tmp_path / "out"))).exception
    assert isinstance(error, EngineUnavailable)
    assert "pip install 'lungscan-ct[train]'" in str(error)
    assert not (tmp_path / "out").exists()


def test_without_pictures_nothing_of_matplotlib_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert CliRunner().invoke(app, arguments(folder, "--json")).exit_code == 0
