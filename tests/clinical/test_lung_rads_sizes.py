"""Every cell of the size table of ACR Lung-RADS v2022, just under, at and over each border; sizes in tenths of a mm."""

from __future__ import annotations

import pytest

from lungscan.clinical.lung_rads_sizes import Status, by_size
from lungscan.clinical.nodule_type import Kind

BASE, NEW, STABLE, GROW, SLOW = Status
S, P, G, C = Kind.solid, Kind.part_solid, Kind.ground_glass, Kind.calcified


@pytest.mark.parametrize(
    ("status", "mean", "category"),
    [
        *[(BASE, d, c) for d, c in ((10, "2"), (59, "2"), (60, "3"), (61, "3"), (79, "3"), (80, "4A"), (81, "4A"))],
        *[(BASE, d, c) for d, c in ((149, "4A"), (150, "4B"), (151, "4B"), (900, "4B"))],
        *[(NEW, d, c) for d, c in ((39, "2"), (40, "3"), (41, "3"), (59, "3"), (60, "4A"), (61, "4A"), (79, "4A"))],
        *[(NEW, d, c) for d, c in ((80, "4B"), (81, "4B"))],
        *[(GROW, d, c) for d, c in ((30, "4A"), (79, "4A"), (80, "4B"), (81, "4B"))],
        *[(STABLE, d, c) for d, c in ((59, "2"), (60, "3"), (80, "4A"), (150, "4B"))],
        *[(SLOW, d, "4B") for d in (30, 79, 150)],
    ],
)
@pytest.mark.parametrize("kind", [S, C])
def test_solid(kind: Kind, status: Status, mean: int, category: str) -> None:
    assert by_size(kind, mean, None, status).category == category


@pytest.mark.parametrize(
    ("status", "mean", "solid", "category"),
    [
        *[(BASE, d, s, "2") for d, s in ((30, 0), (59, 10), (59, 59))],
        *[(BASE, d, s, "3") for d, s in ((60, 0), (61, 59), (200, 59))],
        *[(BASE, d, s, "4A") for d, s in ((60, 60), (200, 60), (200, 61), (200, 79))],
        *[(BASE, d, s, "4B") for d, s in ((80, 80), (200, 80), (200, 81))],
        *[(NEW, d, s, "3") for d, s in ((30, 0), (59, 39), (59, 59))],
        *[(NEW, d, s, "4A") for d, s in ((60, 0), (60, 39), (200, 39))],
        *[(NEW, d, s, "4B") for d, s in ((60, 40), (200, 41))],
        *[(GROW, d, s, "4A") for d, s in ((50, 10), (59, 39), (200, 39))],
        *[(GROW, d, s, "4B") for d, s in ((50, 40), (200, 40), (200, 41))],
        *[(STABLE, d, s, c) for d, s, c in ((59, 20, "2"), (60, 20, "3"), (100, 70, "4A"), (100, 80, "4B"))],
        (SLOW, 100, 20, "4B"),
    ],
)
def test_part_solid(status: Status, mean: int, solid: int, category: str) -> None:
    assert by_size(P, mean, solid, status).category == category


@pytest.mark.parametrize(
    ("status", "mean", "category"),
    [
        *[(status, d, c) for status in (BASE, NEW) for d, c in ((50, "2"), (299, "2"), (300, "3"), (301, "3"))],
        *[(status, d, "2") for status in (STABLE, SLOW) for d in (50, 299, 300, 450)],
        *[(GROW, d, c) for d, c in ((50, "2"), (299, "2"), (300, None), (301, None))],
    ],
)
def test_ground_glass(status: Status, mean: int, category: str | None) -> None:
    assert by_size(G, mean, None, status).category == category


@pytest.mark.parametrize(
    ("kind", "status", "mean", "solid", "because"),
    [
        (S, BASE, 72, None, "solid, baseline, 7.2 mm >= 6 and < 8 mm"),
        (S, BASE, 41, None, "solid, baseline, 4.1 mm < 6 mm"),
        (S, NEW, 80, None, "solid, new, 8 mm >= 8 mm"),
        (P, BASE, 100, 65, "part-solid, baseline, 10 mm >= 6 mm, solid part 6.5 mm >= 6 and < 8 mm"),
        (P, GROW, 100, 39, "part-solid, new or growing solid part 3.9 mm < 4 mm"),
        (G, STABLE, 301, None, "ground glass, stable, 30.1 mm, any size"),
    ],
)
def test_the_number_that_fired_is_told(kind: Kind, status: Status, mean: int, solid: int | None, because: str) -> None:
    assert by_size(kind, mean, solid, status).because == because


def test_the_row_where_calculators_differ_is_remarked() -> None:
    assert by_size(P, 60, 39, NEW).remark
    assert not by_size(P, 59, 39, NEW).remark
    assert not by_size(P, 60, 39, BASE).remark


def test_a_part_solid_nodule_needs_its_solid_part() -> None:
    with pytest.raises(ValueError, match="solid part"):
        by_size(P, 60, None, BASE)
