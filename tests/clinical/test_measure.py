"""Axes of shapes whose axes are known: rotated ellipses, rectangles, single pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lungscan.clinical.measure import axes, measure
from lungscan.clinical.nodule_type import Kind, TypeCutoffs
from lungscan.phantom.nodules import KINDS, PhantomNodule, draw, shape_of
from lungscan.volume import Grid

FINE = (1.0, 0.1, 0.1)


def ellipse(
    long_mm: float, short_mm: float, degrees: float, spacing_rc: tuple[float, float], centre=(0.0, 0.0)
) -> np.ndarray:
    """(R,C) mask of an ellipse whose long axis is turned by an angle from the rows' direction."""
    half = [math.ceil(0.75 * long_mm / s) for s in spacing_rc]
    r, c = np.mgrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
    y, x = r * spacing_rc[0] - centre[0], c * spacing_rc[1] - centre[1]
    a = math.radians(degrees)
    along, across = y * math.cos(a) + x * math.sin(a), -y * math.sin(a) + x * math.cos(a)
    return (along / (long_mm / 2)) ** 2 + (across / (short_mm / 2)) ** 2 <= 1


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 123])
@pytest.mark.parametrize(("long", "short"), [(8.0, 5.0), (12.0, 11.0), (20.0, 6.0)])
def test_a_turned_ellipse_has_its_axes(degrees: float, long: float, short: float) -> None:
    found = axes(ellipse(long, short, degrees, FINE[1:])[None], FINE)
    assert found.long_mm == pytest.approx(long, abs=0.15)
    assert found.short_mm == pytest.approx(short, abs=0.15)
    assert found.mean_mm == (found.long_mm + found.short_mm) / 2


@pytest.mark.parametrize("degrees", [0, 30, 60, 90])
def test_pixels_need_not_be_square(degrees: float) -> None:
    spacing = (1.0, 0.12, 0.07)
    found = axes(ellipse(9.0, 6.0, degrees, spacing[1:])[None], spacing)
    assert (found.long_mm, found.short_mm) == (pytest.approx(9, abs=0.2), pytest.approx(6, abs=0.2))


@pytest.mark.parametrize(("long", "short"), [(4.0, 4.0), (6.0, 5.0), (9.0, 7.0), (20.0, 12.0)])
def test_pixels_of_a_scanner_give_no_bias(long: float, short: float) -> None:
    """Over many places and angles on a grid of 0.7 mm the mean diameter is right to 0.1 mm, and never off by a pixel."""
    rng = np.random.default_rng(3)
    spacing = (2.5, 0.7, 0.7)
    errors = []
    for _ in range(60):
        mask = ellipse(long, short, rng.uniform(0, 180), spacing[1:], rng.uniform(-0.35, 0.35, 2))
        errors.append(axes(mask[None], spacing).mean_mm - (long + short) / 2)
    assert abs(np.mean(errors)) < 0.11
    assert np.max(np.abs(errors)) < 0.5


def test_the_axes_ends_lie_apart_by_their_lengths_at_right_angles() -> None:
    found = axes(ellipse(8.0, 5.0, 33, FINE[1:])[None], FINE)
    (a, b), (c, d) = (np.array(ends) * FINE for ends in (found.long_ends_irc, found.short_ends_irc))
    assert np.linalg.norm(b - a) == pytest.approx(found.long_mm)
    assert np.linalg.norm(d - c) == pytest.approx(found.short_mm)
    assert np.dot(b - a, d - c) == pytest.approx(0, abs=1e-9)


def test_a_rectangle_s_short_axis_is_at_right_angles_to_its_diagonal() -> None:
    """30 x 40 mm: the diagonal is 50 mm, the longest chord across it 2 * 30 * 40 * 50 / (2 * 40^2) = 37.5 mm."""
    found = axes(np.ones((1, 300, 400), bool), FINE)
    assert found.long_mm == pytest.approx(50, abs=0.1)
    assert found.short_mm == pytest.approx(37.5, abs=0.1)


def test_one_voxel_is_a_pixel_wide() -> None:
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    found = axes(mask, (2.5, 0.7, 0.7))
    assert (found.slice, found.long_mm, found.short_mm) == (1, pytest.approx(0.7), pytest.approx(0.7))


def test_the_slice_with_most_of_the_nodule_is_measured() -> None:
    mask = np.zeros((4, 40, 40), bool)
    mask[1, 5:8, 5:35] = True  # long and thin
    r, c = np.mgrid[:40, :40]
    mask[2] = np.hypot(r - 20, c - 20) <= 7
    mask[2, 0, 39] = True  # another piece in the slice
    found = axes(mask, (1.0, 1.0, 1.0))
    assert found.slice == 2
    assert found.mean_mm == pytest.approx(14, abs=0.5)


def test_volume_and_diameter_are_those_of_the_ball() -> None:
    i, r, c = np.mgrid[-12:13, -30:31, -30:31]
    mask = (i * 0.5) ** 2 + (r * 0.2) ** 2 + (c * 0.2) ** 2 <= 25
    hu = np.where(mask, 40, -850).astype(np.int16)
    found = measure(mask, hu, (0.5, 0.2, 0.2))
    assert found.volume_mm3 == pytest.approx(math.pi / 6 * 1000, rel=0.01)
    assert found.diameter_mm == pytest.approx(10, rel=0.005)
    assert found.mean_mm == pytest.approx(10, abs=0.25)
    assert found.hu_mean == 40
    assert found.hu_percentiles == (40.0,) * 5


def ball(radius_mm: float) -> np.ndarray:
    axis = np.arange(-12, 12.1, 0.5)
    i, r, c = np.meshgrid(axis, axis, axis, indexing="ij")
    return i**2 + r**2 + c**2 <= radius_mm**2


@pytest.mark.parametrize(
    ("outer_hu", "core_hu", "core_mm", "kind"),
    [
        (40, 40, 4, Kind.solid),
        (-250, -250, 4, Kind.solid),
        (-350, -350, 4, Kind.ground_glass),
        (-600, -600, 4, Kind.ground_glass),
        (-600, 30, 8, Kind.part_solid),
        (-600, 30, 2, Kind.ground_glass),  # 1 % of the volume
        (40, 600, 10, Kind.calcified),  # 17 % of the volume
        (40, 600, 6, Kind.solid),  # 4 %
        (-600, 163, 12, Kind.part_solid),
        (40, 164, 18, Kind.calcified),
    ],
)
def test_the_type_of_a_ball_in_a_ball(outer_hu: int, core_hu: int, core_mm: float, kind: Kind) -> None:
    """18 mm across, with a core of this diameter, in lung."""
    mask, core = ball(9), ball(core_mm / 2)
    hu = np.where(core, core_hu, np.where(mask, outer_hu, -860)).astype(np.int16)
    found = measure(mask, hu, (0.5, 0.5, 0.5))
    assert found.kind is kind
    if kind is Kind.part_solid:
        assert found.solid is not None
        assert found.solid.mean_mm == pytest.approx(core_mm, abs=0.6)


def test_a_blurred_border_makes_no_solid_nodule_part_solid() -> None:
    mask = ball(4)
    hu = gaussian_filter(np.where(mask, 40.0, -860.0), 1.2).astype(np.int16)
    assert measure(hu > -410, hu, (0.5, 0.5, 0.5)).kind is Kind.solid


def test_the_cut_offs_are_settings() -> None:
    mask = ball(6)
    hu = np.where(mask, -350, -860).astype(np.int16)
    found = measure(mask, hu, (0.5, 0.5, 0.5), TypeCutoffs(solid_hu=-400))
    assert (found.kind, found.cutoffs.solid_hu) == (Kind.solid, -400)


def test_nothing_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="no voxel"):
        measure(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), np.int16), FINE)


@pytest.mark.parametrize("drawn", KINDS)
@pytest.mark.parametrize("diameter_mm", [6.0, 12.0, 22.0])
def test_the_type_of_a_phantom_s_nodule(drawn: str, diameter_mm: float) -> None:
    """Drawn alone in lung on a scanner's grid, with noise of a chest CT, and outlined as its truth says."""
    grid = Grid((32, 72, 72), (2.0, 0.75, 0.75), (-27.0, -27.0, -31.0), np.eye(3))
    rng = np.random.default_rng(4)
    centre = (0.3, -0.2, 0.4)
    hu = np.full(grid.shape, -860, np.float32)
    draw(hu, grid, shape_of(PhantomNodule(centre, diameter_mm, drawn, (3, 3, 3, 3)), rng))
    hu = gaussian_filter(hu, (0.3, 0.5, 0.5)) + rng.normal(0, 30, hu.shape)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    mask = np.linalg.norm(grid.xyz(index) - centre, axis=-1) <= diameter_mm / 2
    expected = {"part-solid": Kind.part_solid, "ground-glass": Kind.ground_glass, "calcified": Kind.calcified}
    assert measure(mask, hu.astype(np.int16), grid.spacing_irc_mm).kind is expected.get(drawn, Kind.solid)
