"""Overlay pictures of a judged scan and the curves: how many, how large, and what colour lies where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lungscan.evaluation.cases import cached
from lungscan.evaluation.run import evaluate, write
from lungscan.training.cache import Cache
from tests.evaluation.hand_made import CARD, FAINT, NODULE, STONE, VESSEL, rules, write_entry

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    write_entry(Cache(folder / "cache"), "a")
    (folder / "overlays").mkdir()
    write(evaluate(cached(folder / "cache", CARD, "all", "*"), rules(), pictures=folder / "overlays"), folder)
    return folder


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def pixel(place: tuple[int, int, int]) -> tuple[int, int]:
    """64 x 64 square voxels fill 512 x 512 pixels: eight a voxel."""
    _, r, c = place
    return r * 8 + 4, c * 8 + 4


def test_there_is_a_picture_of_each_nodule_and_each_false_positive(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "overlays").iterdir()) == [
        "a-false-1.png",
        "a-nodule-1-found.png",
        "a-nodule-2-missed.png",
        "a-nodule-3-missed.png",
    ]


@pytest.mark.parametrize(
    ("name", "place", "colour"),
    [
        ("nodule-1-found", NODULE, "green"),
        ("nodule-2-missed", STONE, "orange"),
        ("nodule-3-missed", FAINT, "orange"),
        ("false-1", VESSEL, "red"),
    ],
)
def test_the_place_has_its_colour(folder: Path, name: str, place: tuple[int, int, int], colour: str) -> None:
    picture = read(folder / "overlays" / f"a-{name}.png")
    assert picture.shape == (512, 512, 3)
    red, green, blue = picture[pixel(place)]
    assert {"green": green > red == blue, "red": red > green == blue, "orange": red > green > blue}[colour]
    grey = picture[pixel((0, 60, 60))]
    assert (grey == grey[0]).all()


def test_the_coloured_disc_is_as_large_as_the_ball(folder: Path) -> None:
    picture = read(folder / "overlays" / "a-nodule-1-found.png")
    coloured = (picture.max(axis=-1) > picture.min(axis=-1)).sum() / 64 * 1.25**2
    assert coloured == pytest.approx(np.pi * 25, rel=0.1)


def test_ticks_point_at_the_place(folder: Path) -> None:
    picture = read(folder / "overlays" / "a-nodule-1-found.png")
    row, column = pixel(NODULE)
    white = (picture == 255).all(axis=-1)
    assert white[row - 1 : row + 1, column + 24 : column + 36].any(axis=0).sum() >= 11
    assert white[row - 36 : row - 24, column - 1 : column + 1].any(axis=1).sum() >= 11
    assert not white[row - 20 : row + 20, column - 20 : column + 20].any()


def test_the_curves_are_drawn(folder: Path) -> None:
    for name, width in (("froc", 600), ("roc", 600), ("reliability", 600)):
        picture = read(folder / f"{name}.png")
        assert picture.shape[:2] == (600, width)
        assert (picture[..., :3] == 255).mean() > 0.6
        blue = (picture[..., 2] - picture[..., 0]) > 60
        assert blue.any()


def test_the_same_figures_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(evaluate(cached(folder / "cache", CARD, "all", "*"), rules()), tmp_path)
    for name in ("froc.png", "roc.png", "reliability.png", "evaluation.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
