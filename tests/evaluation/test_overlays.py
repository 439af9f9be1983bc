"""Overlay pictures: colours and grey levels by hand, and the file as pillow reads it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lungscan.errors import EngineUnavailable
from lungscan.evaluation.overlays import overlay, write_png

FOUND = np.array([[True, True], [False, False]])
TRUTH = np.array([[True, False], [True, False]])


def test_green_is_right_red_is_wrong_orange_is_missed_and_the_rest_is_grey() -> None:
    picture = overlay(np.full((2, 2), -600, np.int16), FOUND, TRUTH)  # the window's level: grey 0.5
    assert picture.dtype == np.float32
    assert picture[0, 0].tolist() == [0.25, 0.75, 0.25]
    assert picture[0, 1].tolist() == [0.75, 0.25, 0.25]
    assert picture[1, 0].tolist() == [0.75, 0.5, 0.25]
    assert picture[1, 1].tolist() == [0.5, 0.5, 0.5]


def test_values_stay_between_black_and_white() -> None:
    nothing = np.zeros((512, 512), bool)
    hu = np.linspace(-32768, 32767, 512 * 512).reshape(512, 512).astype(np.int16)
    picture = overlay(hu, nothing, nothing)
    assert picture.shape == (512, 512, 3)
    assert (picture.min(), picture.max()) == (0, 1)
    assert (picture[..., :1] == picture).all()


def test_the_file_holds_the_picture(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = overlay(np.array([[-1350, 150], [-600, -600]], np.int16), FOUND, TRUTH)
    write_png(picture, tmp_path / "slice.png")
    with image.open(tmp_path / "slice.png") as read:
        assert np.abs(np.asarray(read) / 255 - picture).max() <= 0.5 / 255 + 1e-6


def test_without_pillow_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'lungscan-ct\[train\]'"):
        write_png(np.zeros((2, 2, 3), np.float32), tmp_path / "slice.png")
