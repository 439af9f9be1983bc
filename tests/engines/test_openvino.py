"""OpenVINO's kept networks: compiled once, from a cache that can be trusted or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from lungscan.engines import open_engine

from lungscan.errors import EngineUnavailable
from lungscan.networks import graph
from tests.support import random_networks, small_card

CARD = small_card()
NETWORK = graph.segmentation(CARD, random_networks(CARD)["segmentation"])
HU = np.random.default_rng(0).integers(-1000, 400, (3, 7, 32, 40)).astype(np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lungscan" / "engines"


def result(*, keep: bool) -> np.ndarray:
    return next(open_engine(NETWORK, "cpu", "openvino", "fp32", keep=keep)([HU]))


def test_nothing_is_kept_unless_asked_for(home: Path) -> None:
    result(keep=False)
    assert not home.exists()


def test_what_was_compiled_serves_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = result(keep=True)
    assert [path.suffix for path in sorted(home.iterdir())] == [".blob", ".json"]
    monkeypatch.setattr(ov.Core, "compile_model", None)  # the second time nothing is compiled
    np.testing.assert_array_equal(result(keep=True), first)


@pytest.mark.parametrize("damage", [b"", b"no network at all", bytes(200_000)])
def test_a_damaged_file_is_compiled_again(home: Path, damage: bytes) -> None:
    first = result(keep=True)
    next(home.glob("*.blob")).write_bytes(damage)
    np.testing.assert_array_equal(result(keep=True), first)


def test_a_file_that_the_runtime_refuses_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = result(keep=True)

    def refuses(*_: object) -> None:
        raise RuntimeError("made by another version")

    monkeypatch.setattr(ov.Core, "import_model", refuses)
    np.testing.assert_array_equal(result(keep=True), first)


def test_where_others_can_write_nothing_is_loaded_and_the_scan_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = result(keep=True)
    home.chmod(0o777)
    monkeypatch.setattr(ov.Core, "import_model", None)
    np.testing.assert_array_equal(result(keep=True), first)


def test_int8_is_asked_to_be_made_first() -> None:
    with pytest.raises(EngineUnavailable, match="lungscan export --to openvino --precision int8"):
        open_engine(NETWORK, "cpu", "openvino", "int8")


def test_a_classifier_has_no_int8_and_runs_as_it_does() -> None:
    network = graph.classifier("nodule", CARD, CARD.nodule, random_networks(CARD)["nodule"])
    assert open_engine(network, "cpu", "openvino", "int8").precision == open_engine(network, "cpu", "openvino").precision
