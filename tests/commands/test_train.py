"""`lungscan train`: three networks of one run from a cache of balls, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner, Result

from lungscan import weights
from lungscan.commands import app
from lungscan.errors import EngineUnavailable, InputRefused, LungscanError, UsageError
from lungscan.training import checkpoint, jobs, splits, tasks, tensorboard
from lungscan.training.cache import Cache
from lungscan.training.run import CARD, NETWORKS, WEIGHTS
from lungscan.weights.card import UNetCard, parse
from tests.conftest import ROOT
from tests.training import balls

STEPS = {"segmentation": 40, "nodule": 40, "malignancy": 12}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, words)])


def refusal(*words: object) -> LungscanError:
    error = run(*words).exception
    assert isinstance(error, LungscanError)
    return error


@pytest.fixture(scope="module", autouse=True)
def _small_steps_on_one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LEAST_BETWEEN", 20)
        patch.setattr(tasks, "PATCH", 48)
        patch.setattr(tasks, "STACKS", 8)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cache, card.json, run with all three networks, and out.txt with what was printed."""
    folder = tmp_path_factory.mktemp("train")
    balls.make(folder / "cache")
    (folder / "card.json").write_text(balls.card().to_json())
    out = ""
    for network in NETWORKS:
        card = ("--card", folder / "card.json") if network == "segmentation" else ()
        words = (network, "--cache", folder / "cache", "-o", folder / "run", "--steps", STEPS[network], *card)
        result = run(*words)
        assert result.exit_code == 0, result.output
        out += result.stdout
    (folder / "out.txt").write_text(out)
    return folder


def test_the_weights_file_is_whole_and_its_card_says_how_it_came_about(folder: Path) -> None:
    card = weights.load(folder / "run" / WEIGHTS).card
    assert replace(card, about={}, trained_on=(), operating_points=()) == balls.card()
    assert "a score, not a share" in card.about["calibration"]
    sets = splits.read(folder / "cache")
    of = {
        name: {e.series for e in Cache(folder / "cache").entries() if sets[e.patient] == name} for name in set(sets.values())
    }
    assert set(card.trained_on) == of["training"]
    assert set(card.about["validated_on"]) == of["validation"]
    assert [line.split()[:3] for line in card.about["command"]] == [["lungscan", "train", network] for network in NETWORKS]
    for network in NETWORKS:
        measured = card.about["measured"][network]
        assert 1 <= measured["step"] <= STEPS[network]
        assert {"F1", "recall", "precision", "positives right", "negatives right"} <= measured["validation"].keys()


def test_malignancy_starts_from_nodule_and_segmentation_learned(folder: Path) -> None:
    """12 steps move a convolution less than another seed would."""
    loaded = weights.load(folder / "run" / WEIGHTS)
    assert loaded.malignancy is not None
    name = "blocks.0.conv1.weight"
    nodule, malignancy = loaded.nodule[name], loaded.malignancy[name]
    assert 0 < np.abs(nodule - malignancy).max() < 0.2 * np.abs(nodule).max()


def test_stdout_counts_each_class_of_both_sets(folder: Path) -> None:
    lines = (folder / "out.txt").read_text().splitlines()
    (mine,) = (k for k, line in enumerate(lines) if "nodule, its best step" in line)
    assert "nodule     40/40" in "\n".join(lines)
    training, validation = lines[mine + 1 : mine + 3]
    assert training.split()[0] == "training"
    assert validation.split()[0] == "validation"
    (crops,) = (folder / "run" / "nodule").glob("training-*.npz")
    with np.load(crops) as arrays:
        positives = int(arrays["positive"].sum())
        assert f"of {positives} positives right" in training
        assert f"of {len(arrays['positive']) - positives} negatives right" in training
    assert positives >= 12  # 4 scans of 3 nodules
    assert lines[-1] == str(folder / "run" / WEIGHTS)


def test_tensorboard_holds_scalars_histograms_curves_and_pictures(folder: Path) -> None:
    board = EventAccumulator(str(folder / "run" / "segmentation" / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    assert {"loss", "rate", "F1/training", "F1/validation", "marked/validation"} <= set(tags["scalars"])
    assert [event.step for event in board.Scalars("F1/validation")] == [20, 40]
    assert "last.weight" in tags["histograms"]
    assert any("slice" in tag for tag in tags["images"])
    board = EventAccumulator(str(folder / "run" / "nodule" / "tensorboard"))
    board.Reload()
    assert "ROC/validation" in board.Tags()["images"]
    assert "PR/validation" in board.Tags()["tensors"]


def test_a_finished_training_that_is_resumed_stays_as_it_is(folder: Path) -> None:
    before = (folder / "run" / WEIGHTS).read_bytes()
    words = ("nodule", "--cache", folder / "cache", "-o", folder / "run", "--steps", STEPS["nodule"], "--resume")
    assert run(*words).exit_code == 0
    assert (folder / "run" / WEIGHTS).read_bytes() == before


def test_an_interrupted_training_goes_on_from_its_crops_and_checkpoint(folder: Path, tmp_path: Path) -> None:
    """Stopped after 20 of 40 steps: the checkpoint of then, and no result."""
    shutil.copytree(folder / "run" / "segmentation", tmp_path / "segmentation")
    shutil.copy(folder / "run" / CARD, tmp_path / CARD)
    words = ("nodule", "--cache", folder / "cache", "-o", tmp_path, "--steps", STEPS["nodule"])
    saved = checkpoint.save
    with pytest.MonkeyPatch.context() as patch:

        def killed(*arguments: object) -> None:
            saved(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patch.setattr(checkpoint, "save", killed)
        assert run(*words).exit_code != 0
        patch.setattr(checkpoint, "save", saved)
        assert not (tmp_path / WEIGHTS).exists()
        refused = refusal(*words)
        assert isinstance(refused, UsageError)
        assert "--resume" in str(refused)
        assert run(*words, "--resume").exit_code == 0
    resumed, whole = (run_folder / "nodule" / checkpoint.FILE for run_folder in (tmp_path, folder / "run"))
    assert resumed.read_bytes() == whole.read_bytes()
    mine, theirs = weights.load(tmp_path / WEIGHTS), weights.load(folder / "run" / WEIGHTS)
    assert all(np.array_equal(value, theirs.nodule[name]) for name, value in mine.nodule.items())
    assert mine.malignancy is None


def test_a_classifier_needs_the_network_before_it(folder: Path, tmp_path: Path) -> None:
    card = ("--card", folder / "card.json")
    for network, before in (("nodule", "segmentation"), ("malignancy", "nodule")):
        error = refusal(network, "--cache", folder / "cache", "-o", tmp_path / "new", *card)
        assert isinstance(error, UsageError)
        assert f"lungscan train {before}" in str(error)


def test_another_card_than_the_run_s_is_refused(folder: Path, tmp_path: Path) -> None:
    other = replace(balls.card(), segmentation=UNetCard(depth=2, width=4))
    (tmp_path / "other.json").write_text(other.to_json())
    error = refusal("nodule", "--cache", folder / "cache", "-o", folder / "run", "--card", tmp_path / "other.json")
    assert isinstance(error, UsageError)
    assert "another card" in str(error)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "lungscan-weights/2"}', "\xff"])
def test_what_is_no_card_is_refused_with_its_name(text: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    error = refusal("segmentation", "--cache", folder / "cache", "-o", tmp_path / "run", "--card", tmp_path / "card.json")
    assert isinstance(error, UsageError)
    assert "card.json" in str(error)
    assert "no such file" in str(
        refusal("segmentation", "--cache", folder / "cache", "-o", tmp_path, "--card", tmp_path / "x")
    )


def test_other_options_than_the_checkpoint_s_are_refused(folder: Path) -> None:
    words = ("segmentation", "--cache", folder / "cache", "-o", folder / "run", "--resume")
    assert "steps is 40 there and 32 here" in str(refusal(*words, "--steps", 32))
    assert "seed is 0 there and 1 here" in str(refusal(*words, "--steps", 40, "--seed", 1))


def test_a_cache_that_cannot_serve_is_refused(folder: Path, tmp_path: Path) -> None:
    card = ("--card", folder / "card.json", "-o", tmp_path / "run")
    assert isinstance(refusal("segmentation", "--cache", tmp_path / "none", *card), UsageError)
    (tmp_path / "empty").mkdir()
    assert isinstance(refusal("segmentation", "--cache", tmp_path / "empty", *card), InputRefused)
    shutil.copytree(folder / "cache", tmp_path / "cache")
    (tmp_path / "cache" / splits.FILE).unlink()
    assert "lungscan prepare" in str(refusal("segmentation", "--cache", tmp_path / "cache", *card))
    sets = {"patients": {f"patient-{k}": "training" for k in range(5)}}
    (tmp_path / "cache" / splits.FILE).write_text(json.dumps(sets))
    assert "does not hold patient-5" in str(refusal("segmentation", "--cache", tmp_path / "cache", *card))
    sets["patients"]["patient-5"] = "training"
    (tmp_path / "cache" / splits.FILE).write_text(json.dumps(sets))
    assert "validates" in str(refusal("segmentation", "--cache", tmp_path / "cache", *card))
    coarse = replace(balls.card(), input=replace(balls.card().input, spacing_irc_mm=(3.0, 1.25, 1.25)))
    (tmp_path / "coarse.json").write_text(coarse.to_json())
    words = ("--cache", folder / "cache", "-o", tmp_path / "run", "--card", tmp_path / "coarse.json")
    assert "(3.0, 1.25, 1.25)" in str(refusal("segmentation", *words))
    assert not (tmp_path / "run").exists()


def test_the_shipped_architecture_is_the_default(folder: Path, tmp_path: Path) -> None:
    words = ("segmentation", "--cache", folder / "cache", "-o", tmp_path / "mine", "--steps", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "train", lambda *_: pytest.skip.Exception("enough"))
        run(*words)
    card, shipped = parse((tmp_path / "mine" / CARD).read_text()), weights.load(weights.shipped()).card
    assert (card.input, card.segmentation, card.nodule) == (shipped.input, shipped.segmentation, shipped.nodule)
    assert (card.name, card.about, card.trained_on, card.operating_points) == ("mine", {}, (), ())


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    error = refusal("segmentation", "--cache", folder / "cache", "-o", tmp_path / "run")
    assert isinstance(error, EngineUnavailable)
    assert "lungscan-ct[train]" in str(error)


def test_help_holds_an_example_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lungscan.commands import app; app(['train', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "Example: lungscan train segmentation" in out
    assert not {"torch", "numpy", "scipy"} & set(out.splitlines()[-1].split())


def test_the_command_line_is_a_module_that_torchrun_can_start() -> None:
    run = [sys.executable, "-m", "lungscan.commands", "--version"]
    assert subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout.startswith("lungscan ")


def test_the_demonstration_s_card_can_be_read() -> None:
    card = parse((ROOT / "examples" / "demo-card.json").read_text())
    assert card.nodule == card.malignancy
