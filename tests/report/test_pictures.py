"""Pictures of nodules: which side is which, true proportions, where outline, heat and rings lie, the same bytes again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungscan.report import drawing
from lungscan.report.overview import overview_panels
from lungscan.report.pictures import SIDE, colour_of, inside, nodule_panels, nodule_plane, plain, write_png
from lungscan.report.planes import VIEWS, Plane, towards
from lungscan.stages.outline import nodule_masks
from lungscan.volume import Volume
from tests.report.made import BALLS, LAYOUTS, Made, centred, made

layouts = pytest.mark.parametrize("layout", LAYOUTS)

SEEN = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "H", "F"), "sagittal": ("A", "P", "H", "F")}
"""Radiological convention: what stands at the left, right, top and bottom."""


def of(layout: str) -> Made:
    orientation, oblique = LAYOUTS[layout]
    return made(orientation, oblique=oblique)


def panels(scan: Made, which: int = 0, side: int = SIDE) -> dict[str, np.ndarray]:
    nodule, mask = scan.report.nodules[which], nodule_masks(scan)[which]
    return {p.name: np.asarray(p.image).astype(int) for p in nodule_panels(scan, nodule, mask, side)}


def centre_of(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0)


@layouts
@pytest.mark.parametrize("view", VIEWS)
def test_the_patients_sides_are_where_radiologists_have_them(layout: str, view: str) -> None:
    """Bright marks at the patient's right, front and head of the nodule, looked for in the picture."""
    scan = of(layout)
    grid, (centre, radius) = scan.volume.grid, BALLS[0]
    plane = nodule_plane(view, scan.volume, scan.report.nodules[0], 200)
    assert tuple(letter[0] for letter in plane.letters()) == SEEN[view]
    at = {"R": (-16, 0, 0), "L": (16, 0, 0), "A": (0, -16, 0), "P": (0, 16, 0), "H": (0, 0, 16), "F": (0, 0, -16)}
    for letter, row, column in zip(SEEN[view], (0, 0, -1, 1), (-1, 1, 0, 0), strict=True):
        hu = scan.volume.hu.copy()
        apart = grid.xyz(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)) - centre - at[letter]
        hu[np.linalg.norm(apart, axis=-1) <= 4] = 3000
        new = plain(replace(scan.volume, hu=hu), plane)[..., 0].astype(int) - plain(scan.volume, plane)[..., 0]
        new[_near(plane, centre, radius)] = 0
        spot = centre_of(new > 60) - 99.5
        pixels = 16 / plane.pixel_mm
        np.testing.assert_allclose(spot, (row * pixels, column * pixels), atol=5 / plane.pixel_mm)


def _near(plane: Plane, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    x, y = plane.pixel(centre)
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    return np.hypot(rows - y, columns - x) <= radius / plane.pixel_mm + 1


@layouts
@pytest.mark.parametrize("view", VIEWS)
def test_a_ball_is_a_disc_in_every_plane(layout: str, view: str) -> None:
    """Voxels are 2.5 mm thick and 1 by 1.25 mm wide; the picture's pixels are square."""
    scan = of(layout)
    plane = nodule_plane(view, scan.volume, scan.report.nodules[0], SIDE)
    bright = plain(scan.volume, plane)[..., 0] > 160
    rows, columns = np.argwhere(bright).T
    width, height = (np.ptp(x) * plane.pixel_mm for x in (columns, rows))
    assert width == pytest.approx(2 * BALLS[0][1], abs=2.6)
    assert height == pytest.approx(2 * BALLS[0][1], abs=2.6)
    assert bright.sum() * plane.pixel_mm**2 == pytest.approx(math.pi * BALLS[0][1] ** 2, rel=0.1)


@layouts
def test_the_outline_runs_along_the_edge(layout: str) -> None:
    scan = of(layout)
    pixel_mm = nodule_plane("axial", scan.volume, scan.report.nodules[0], SIDE).pixel_mm
    shown = panels(scan)
    for view in VIEWS:
        picture = shown[view]
        line = (np.abs(picture - drawing.SUSPICIOUS) < 40).all(axis=-1)
        assert line.sum() > 300
        away = np.linalg.norm(np.argwhere(line) - (SIDE - 1) / 2, axis=1) * pixel_mm
        assert np.abs(away - BALLS[0][1]).max() < 3.2  # half a voxel of the scan, and the snap to its middle
        assert np.abs(away - BALLS[0][1]).mean() < 1


def test_the_plain_slice_has_no_outline_and_the_heat_lies_on_the_ball() -> None:
    shown = panels(made())
    assert not (np.ptp(shown["plain"], axis=-1) > 40).any()
    warm = shown["heatmap"][..., 0] - shown["heatmap"][..., 2] > 90
    warm[:, SIDE - 40 :] = False  # the key
    pixel_mm = nodule_plane("axial", made().volume, made().report.nodules[0], SIDE).pixel_mm
    np.testing.assert_allclose(centre_of(warm), (SIDE - 1) / 2, atol=1.5 / pixel_mm)
    assert warm.sum() * pixel_mm**2 == pytest.approx(math.pi * BALLS[0][1] ** 2, rel=0.15)


def test_the_frame_in_the_whole_slice_is_on_the_nodules_side() -> None:
    for which, side in enumerate((1, -1)):  # the first ball is on the patient's left: the right of the picture
        frame = np.ptp(panels(made(), which)["whole"], axis=-1) > 100
        assert (centre_of(frame)[1] - (SIDE - 1) / 2) * side > 20


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "oblique"])
def test_the_layout_of_the_file_changes_no_picture(layout: str) -> None:
    other = panels(of(layout), side=160)
    for name, picture in panels(made(), side=160).items():
        difference = np.abs(other[name] - picture)
        assert (difference > 60).mean() < 0.01


def test_a_suspicious_nodule_has_another_colour() -> None:
    first, second = made().report.nodules
    assert colour_of(first) == drawing.SUSPICIOUS != drawing.OTHER == colour_of(second)
    lightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (drawing.SUSPICIOUS, drawing.OTHER)]
    assert min(lightness) > 150  # both stand out from lung, whatever colours an eye sees


@layouts
def test_rings_lie_at_the_nodules(layout: str) -> None:
    """Where a ball's centre falls, worked out from the box of the lungs, which here is the whole scan."""
    scan = of(layout)
    for overview in overview_panels(scan, colour_of, 400):
        picture = np.asarray(overview.image).astype(int)
        canonical = scan.volume.canonical().grid
        extent = [n * mm for n, mm in zip(canonical.shape, canonical.spacing_irc_mm, strict=True)]
        pixel_mm = max(extent) / 400
        for nodule, (centre, radius) in zip(scan.report.nodules, BALLS, strict=True):
            z, y, x = (np.array(canonical.irc(centre)) + 0.5) * canonical.spacing_irc_mm
            at = (extent[0] - z, x) if overview.view == "coronal" else (y, x)
            ring = (np.abs(picture - colour_of(nodule)) < 25).all(axis=-1)
            rows, columns = np.argwhere(ring).T
            away = np.hypot(rows - at[0] / pixel_mm, columns - at[1] / pixel_mm)
            reach = max(radius / pixel_mm + 4, 9)
            assert (np.abs(away - reach) < 2.5).sum() > 4 * reach


def test_a_nodule_is_never_hidden_by_the_peel() -> None:
    """Lungs without a voxel left inside: the nodules' own voxels are shown all the same."""
    scan = made()
    assert scan.lungs is not None
    bare = replace(scan, lungs=replace(scan.lungs, mask=np.zeros_like(scan.lungs.mask)))
    bare.lungs.mask[8:14, 8:14, 8:14] = True  # type: ignore[union-attr]
    with_ball = {o.view: np.asarray(o.image)[..., 0].max() for o in overview_panels(bare, colour_of)}
    assert min(with_ball.values()) > 180


def test_without_lungs_everything_is_projected() -> None:
    axial = {o.view: np.asarray(o.image) for o in overview_panels(made(lungs=False), colour_of)}["axial"]
    assert (axial[..., 0] > 180).any()


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    for pixel_mm, length_mm in ((0.125, 10), (0.5, 50), (1.0, 100)):
        image = Image.new("RGB", (400, 400))
        drawing.scaled(image, pixel_mm)
        bar = (np.asarray(image) == drawing.TEXT).all(axis=-1)
        longest = bar.sum(axis=1).max() - 1
        assert longest * pixel_mm == pytest.approx(length_mm, abs=3 * pixel_mm)


def test_letters_name_the_direction() -> None:
    assert towards(np.array([1.0, 0, 0])) == "L"
    assert towards(np.array([0, -1.0, 0])) == "A"
    assert towards(np.array([0, 0, -1.0])) == "F"
    assert towards(np.array([0, -0.8, 0.6])) == "AH"
    assert towards(np.array([-0.99, 0.1, 0.1])) == "R"


def test_outside_the_scan_is_black() -> None:
    volume = Volume(np.zeros((4, 4, 4), np.int16), centred((4, 4, 4), (1.0, 1.0, 1.0), np.eye(3)), made().volume.source)
    plane = Plane.of("axial", volume.grid, volume.grid.xyz((1, 1.5, 1.5)), (8, 8), 1.0)
    picture = plain(volume, plane)[..., 0]
    assert (picture[2:6, 2:6] > 200).all()
    picture[2:6, 2:6] = 0
    assert not picture.any()
    far = replace(plane, centre_xyz_mm=np.array([500.0, 0, 0]))
    assert not plain(volume, far).any()


def test_half_of_the_outline_s_edge_is_inside() -> None:
    scan = made()
    plane = nodule_plane("axial", scan.volume, scan.report.nodules[0], SIDE)
    share = inside(scan.volume, nodule_masks(scan)[0], plane)
    assert (share >= 0.5).sum() * plane.pixel_mm**2 == pytest.approx(math.pi * BALLS[0][1] ** 2, rel=0.1)


def test_files_are_named_by_the_nodules_and_the_same_again(tmp_path: Path) -> None:
    for name in ("nodule-7.png", "nodule-of-mine.png", "other.png"):
        (tmp_path / name).touch()
    written = write_png(made(), tmp_path)
    assert [path.name for path in written] == ["overview.png", "nodule-1.png", "nodule-2.png"]
    assert {path.name for path in tmp_path.iterdir()} == {*(p.name for p in written), "nodule-of-mine.png", "other.png"}
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_png(made(), tmp_path)] == before
    for path in written:
        with Image.open(path) as image:
            image.verify()
            assert image.info == {}
