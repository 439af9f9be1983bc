"""Contact sheets: what is drawn lies where it is, at its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lungscan.training.cache import IGNORED, Cache, Entry, Nodule
from lungscan.training.preview import CAPTION, COLUMNS, GAP, LEFT_OUT, NODULE, ROWS, SIDE, SIDE_MM, write_sheets

SPACING = (2.0, 1.0, 1.25)
SHAPE = (60, 110, 90)
CENTRE = (30, 50, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A brick of 16 x 20 x 30 mm in air, and above it, towards the head, one that is left out."""
    hu = np.full(SHAPE, -850, np.int16)
    label = np.zeros(SHAPE, np.uint8)
    label[26:35, 40:61, 28:53] = 1
    label[44:48, 48:53, 36:45] = IGNORED
    hu[label > 0] = 30
    x, y, z = (at * mm for at, mm in zip(CENTRE[::-1], SPACING[::-1], strict=True))
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    entries = [
        Entry(name, name, name, SPACING, (0.0, 0.0, 0.0), axes, SHAPE, (Nodule((x, y, z), 21.0, (5, 4)),) * count)
        for name, count in (("one", 1), ("many", 3 * COLUMNS * ROWS), ("none", 0))
    ]
    for entry in entries:
        Cache(tmp_path).write(entry, hu, np.ones(SHAPE, bool), label)
    write_sheets(Cache(tmp_path), entries, {"one": "training", "many": "validation", "none": "training"}, tmp_path)
    return tmp_path


def extent_mm(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row and column of a colour, in mm from the middle."""
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return tuple(tuple((np.array([v.min(), v.max()]) - (SIDE - 1) / 2) * SIDE_MM / SIDE) for v in (rows, columns))


def test_a_nodule_is_outlined_where_it_is_in_both_planes(folder: Path) -> None:
    """From the feet 21 x 31.25 mm of rows and columns, from the front 18 mm of slices; the head is up."""
    sheet = np.asarray(Image.open(folder / "training.png"))
    feet, front = (sheet[CAPTION : CAPTION + SIDE, k * SIDE : (k + 1) * SIDE] for k in (0, 1))
    for view, rows in ((feet, 10.5), (front, 9.0)):
        (top, bottom), (left, right) = extent_mm(view, NODULE)
        np.testing.assert_allclose((top, bottom), (-rows, rows), atol=0.6)
        np.testing.assert_allclose((left, right), (-15.6, 15.6), atol=0.6)
    (top, bottom), _ = extent_mm(front, LEFT_OUT)
    np.testing.assert_allclose((top, bottom), (-35.0, -27.0), atol=0.6)
    assert not (feet == LEFT_OUT).all(axis=-1).any()


def test_an_outline_leaves_the_inside_to_be_seen(folder: Path) -> None:
    feet = np.asarray(Image.open(folder / "training.png"))[CAPTION : CAPTION + SIDE, :SIDE]
    line = (feet == NODULE).all(axis=-1)
    inside = ndimage.binary_fill_holes(line) & ~line
    assert inside.sum() > 5 * line.sum()
    assert (np.ptp(feet[inside].astype(int), axis=-1) == 0).all()


def test_of_many_nodules_as_many_are_shown_as_fit(folder: Path) -> None:
    height, width, _ = np.asarray(Image.open(folder / "validation.png")).shape
    assert width == COLUMNS * (2 * SIDE + GAP)
    assert height == ROWS * (SIDE + CAPTION + GAP) + CAPTION
