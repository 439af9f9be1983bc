"""Doubling times by hand: days * ln 2 / ln(V2 / V1)."""

from __future__ import annotations

import math

import pytest

from lungscan.clinical.growth import GROWTH_SHARE, doubling_time_days, doubling_time_from_diameters, volume_change


@pytest.mark.parametrize(
    ("before", "now", "days", "doubling"),
    [(100, 125, 90, 279.57), (100, 200, 400, 400.00), (100, 150, 365, 623.97)],
)
def test_doubling_time_of_volumes(before: float, now: float, days: float, doubling: float) -> None:
    assert doubling_time_days(before, now, days) == pytest.approx(doubling, abs=0.005)


def test_doubling_time_of_diameters() -> None:
    assert doubling_time_from_diameters(8, 9, 90) == pytest.approx(176.55, abs=0.005)


@pytest.mark.parametrize("now", [100.0, 80.0])
def test_what_did_not_grow_has_no_doubling_time(now: float) -> None:
    assert doubling_time_days(100, now, 90) is None


def test_a_quarter_more_volume_is_eight_percent_more_diameter() -> None:
    assert math.cbrt(1 + GROWTH_SHARE) == pytest.approx(1.0772, abs=5e-5)
    assert volume_change(100, 125) == GROWTH_SHARE
    assert doubling_time_from_diameters(1, 2 ** (1 / 3), 100) == pytest.approx(100)
    assert math.cbrt(2) == pytest.approx(1.2599, abs=5e-5)


@pytest.mark.parametrize(("before", "now", "days"), [(0, 1, 1), (1, 0, 1), (-1, 1, 1), (1, 2, 0), (1, 2, -5)])
def test_nonsense_is_refused(before: float, now: float, days: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        doubling_time_days(before, now, days)
