"""Nodule masks: the rule from a centre, and readers' contours, by hand and by a polygon drawn by someone else."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lungscan.errors import InputRefused
from lungscan.training.masks import agreed_part, carried, contour_mask, contour_part, rule_mask
from lungscan.volume import Grid

GRID = Grid((20, 24, 28), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
SQUARE = (5.0, [(4.0, 3.0), (10.0, 3.0), (10.0, 9.0), (4.0, 9.0)], True)


def air() -> np.ndarray:
    return np.full(GRID.shape, -900, np.int16)


def test_the_walk_ends_where_the_density_drops_on_one_side() -> None:
    """A cuboid of half widths 4, 3 and 5 voxels: the walk's ends leave it together at 5, 4 and 6, which the box holds."""
    hu = air()
    hu[6:15, 9:16, 8:19] = 30
    box, mask = rule_mask(hu, GRID, (13.2, 11.8, 10.1))
    assert box == ((5, 16), (8, 17), (7, 20))
    assert mask.sum() == 9 * 7 * 11
    np.testing.assert_array_equal(np.argwhere(mask).min(axis=0), [1, 1, 1])


def test_what_is_off_the_axes_counts_within_the_box_alone() -> None:
    hu = air()
    hu[10, 12, 14] = hu[11, 13, 15] = hu[13, 12, 14] = 0
    box, mask = rule_mask(hu, GRID, (14.0, 12.0, 10.0))
    assert box == ((8, 13), (10, 15), (12, 17))
    assert mask.sum() == 2


@pytest.mark.parametrize("centre", [(1.0, 12.0, 10.0), (26.0, 22.0, 18.0), (0.0, 0.0, 0.0)])
def test_the_walk_never_wraps_at_a_border(centre: tuple[float, float, float]) -> None:
    """A nodule at one face and dense tissue at the opposite one: negative indices would join them."""
    hu = np.full(GRID.shape, 30, np.int16)
    box, mask = rule_mask(hu, GRID, centre)
    for (low, high), n, at in zip(box, GRID.shape, centre[::-1], strict=True):
        assert 0 <= low <= at < high <= n
    assert mask.shape == tuple(high - low for low, high in box)


def test_a_known_diameter_ends_the_walk_into_the_wall() -> None:
    hu = np.full(GRID.shape, 30, np.int16)
    box, _ = rule_mask(hu, GRID, (14.0, 12.0, 10.0), diameter_mm=6.0)
    assert box == ((5, 16), (7, 18), (9, 20))


def test_a_centre_outside_the_scan_is_refused() -> None:
    with pytest.raises(InputRefused, match="outside the scan"):
        rule_mask(air(), GRID, (-1.0, 5.0, 5.0))


def test_an_outline_is_not_part_of_its_nodule() -> None:
    mask = contour_mask(GRID, [SQUARE])
    assert mask[5, 4:9, 5:10].all()
    assert mask.sum() == 25


def test_a_hole_is_taken_out_whatever_the_order() -> None:
    hole = (5.0, [(6.0, 5.0), (8.0, 5.0), (8.0, 7.0), (6.0, 7.0)], False)
    for contours in ([SQUARE, hole], [hole, SQUARE]):
        mask = contour_mask(GRID, contours)
        assert mask.sum() == 24
        assert not mask[5, 6, 7]


def test_a_polygon_is_filled_as_pillow_fills_it() -> None:
    """Pillow draws outline and inside; without the outline that it draws alone the insides agree."""
    corners = [(3, 2), (20, 5), (24, 15), (13, 9), (9, 20), (2, 12)]
    filled, border = (Image.new("1", (28, 24)) for _ in range(2))
    ImageDraw.Draw(filled).polygon(corners, fill=1, outline=1)
    ImageDraw.Draw(border).polygon(corners, outline=1)
    sure = np.asarray(filled) & ~np.asarray(border)
    mask = contour_mask(GRID, [(7.0, [(float(x), float(y)) for x, y in corners], True)])[7]
    assert mask[sure].all()
    assert not mask[~np.asarray(filled)].any()


def test_contours_follow_a_grid_whose_axes_are_flipped() -> None:
    flipped = Grid(GRID.shape, GRID.spacing_irc_mm, (27.0, 23.0, 19.0), -np.eye(3))
    np.testing.assert_array_equal(contour_mask(flipped, [SQUARE])[::-1, ::-1, ::-1], contour_mask(GRID, [SQUARE]))


def test_a_part_holds_the_whole_mask() -> None:
    box, mask = contour_part(GRID, [SQUARE])
    whole = np.zeros(GRID.shape, bool)
    whole[tuple(slice(*side) for side in box)] = mask
    np.testing.assert_array_equal(whole, contour_mask(GRID, [SQUARE]))


def test_an_outline_of_no_pixel_is_one_voxel() -> None:
    _, mask = contour_part(GRID, [(5.0, [(7.0, 7.0), (8.0, 7.0), (8.0, 8.0)], True)])
    assert mask.sum() == 1


def test_readers_vote() -> None:
    half = (5.0, [(4.0, 3.0), (7.0, 3.0), (7.0, 9.0), (4.0, 9.0)], True)
    _, share = agreed_part(GRID, [[SQUARE], [half]])
    assert (share == 1).sum() == 10
    assert (share == 0.5).sum() == 15


def test_a_mask_keeps_its_place_and_volume_on_another_grid() -> None:
    zz, yy, xx = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    ball = ((zz - 10) ** 2 + (yy - 12) ** 2 + (xx - 14) ** 2 <= 49).astype(np.float32)
    other = Grid((27, 29, 30), (0.7, 0.8, 0.9), (0.3, 0.1, 0.2), np.eye(3))
    box, share = carried(ball, GRID, other)
    mask = share >= 0.5
    assert mask.sum() * other.voxel_mm3 == pytest.approx(4 / 3 * np.pi * 343, rel=0.05)
    centre = other.part(box).xyz(np.argwhere(mask).mean(axis=0))
    np.testing.assert_allclose(centre, (14, 12, 10), atol=0.1)
