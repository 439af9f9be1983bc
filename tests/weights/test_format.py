"""The weights file: what is written comes back, and nothing foreign, damaged or changed is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lungscan import weights
from lungscan.errors import UsageError, WeightsRefused
from lungscan.weights.card import OperatingPoint
from tests.support import random_networks, small_card


@pytest.fixture
def file(tmp_path: Path) -> Path:
    weights.save(tmp_path / "w.safetensors", small_card(), random_networks(small_card()))
    return tmp_path / "w.safetensors"


def test_what_is_written_comes_back(file: Path) -> None:
    loaded = weights.load(file)
    assert loaded.card == small_card()
    for name, value in random_networks(small_card())["segmentation"].items():
        np.testing.assert_array_equal(loaded.segmentation[name], value)


def test_the_same_networks_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    weights.save(tmp_path / "again", small_card(), random_networks(small_card()))
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_whole_number_in_the_card_is_read_back(tmp_path: Path) -> None:
    card = replace(small_card(), operating_points=(OperatingPoint(2, 0.5, 1),))
    weights.save(tmp_path / "w", card, random_networks(card))
    assert weights.load(tmp_path / "w").card.operating_points == card.operating_points


def rewrite(file: Path, change: str) -> None:
    """The file with one thing wrong."""
    tensors, card = load_file(file), small_card()
    raw = {**json.loads(card.to_json()), "sha256": weights.digest(card, tensors)}
    name = "nodule.head.bias"
    if change == "missing":
        del tensors[name]
    elif change == "shape":
        tensors[name] = np.zeros(3, np.float32)
    elif change == "dtype":
        tensors[name] = tensors[name].astype(np.float64)
    elif change == "nan":
        tensors[name] = np.array([0, np.nan], np.float32)
    elif change == "value":
        tensors[name] = tensors[name] + 1
    elif change == "card":
        raw["thresholds"] = {"segmentation": 2, "nodule": 0.5, "malignancy": 0.5}
    save_file(tensors, file, {} if change == "no card" else {"card": json.dumps(raw)})


@pytest.mark.parametrize("change", ["missing", "shape", "dtype", "nan", "value", "no card", "card"])
def test_a_file_with_one_thing_wrong_is_refused(file: Path, change: str) -> None:
    rewrite(file, change)
    with pytest.raises(WeightsRefused):
        weights.load(file)


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_cut_file_is_refused(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(WeightsRefused):
        weights.load(file)


def test_a_missing_file_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights file"):
        weights.load(tmp_path / "none")


def test_the_shipped_weights_load() -> None:
    assert weights.load(weights.shipped()).malignancy is not None
