"""Overlay pictures: colours and grey levels by hand, and the file as pillow reads it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lungscan.errors import EngineUnavailable
from lungscan.evaluation.overlays import Frame, overlay, write_png

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


def test_a_slice_of_the_frame_s_size_stays_as_it_is() -> None:
    hu = np.random.default_rng(0).integers(-1000, 400, (512, 512)).astype(np.int16)
    frame = Frame.of(hu.shape, (0.7, 0.7))
    assert (frame.framed(hu) == hu).all()
    assert (frame.framed(hu > 0, nearest=True) == (hu > 0)).all()


def test_a_wide_slice_lies_in_the_middle_and_keeps_its_shape() -> None:
    """100 rows of 2 mm, 200 columns of 2 mm: 512 x 256 pixels between bars of 128; a square of 40 mm is one of 51 pixels."""
    plane = np.zeros((100, 200), bool)
    plane[40:60, 90:110] = True
    framed = Frame.of(plane.shape, (2.0, 2.0)).framed(plane, outside=-1, nearest=True)
    assert (framed[:127] == -1).all()
    assert (framed[386:] == -1).all()
    assert (framed[130:382] >= 0).all()
    rows, columns = np.nonzero(framed == 1)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx((51.2, 51.2), abs=1)
    assert (rows.mean(), columns.mean()) == pytest.approx((255.5, 255.5), abs=0.6)


def test_voxels_that_are_not_square_become_square_pixels() -> None:
    """50 rows of 2 mm and 100 columns of 1 mm are a square."""
    framed = Frame.of((50, 100), (2.0, 1.0)).framed(np.ones((50, 100)), outside=0, nearest=True)
    assert (framed == 1).all()


def test_ticks_beyond_the_picture_are_not_drawn() -> None:
    picture = np.zeros((512, 512, 3), np.float32)
    Frame.of((512, 512), (1.0, 1.0)).point(picture, np.array([5.0, 600.0]))
    rows, columns = np.nonzero(picture[..., 0])
    assert len(rows) == 0
    Frame.of((512, 512), (1.0, 1.0)).point(picture, np.array([5.0, 256.0]))
    rows, columns = np.nonzero(picture[..., 0])
    assert sorted({*columns.tolist()}) == [*range(220, 232), 256, *range(280, 292)]
    assert rows.min() == 5
