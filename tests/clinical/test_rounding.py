"""Guideline rounding, at the values that binary fractions get wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungscan.clinical.rounding import in_mm, mean_tenths, mean_whole_mm, tenths


@pytest.mark.parametrize(
    ("long", "short", "mean"),
    [(6.1, 5.8, 60), (6.0, 5.8, 59), (7.2, 7.2, 72), (8.0, 7.9, 80), (10.0, 9.8, 99), (10.0, 9.9, 100), (6.14, 5.75, 60)],
)
def test_lung_rads_rounds_the_mean_to_a_tenth_half_up(long: float, short: float, mean: int) -> None:
    assert mean_tenths(long, short) == mean


@pytest.mark.parametrize(
    ("long", "short", "mean"),
    [(5.5, 5.5, 6), (5.4, 5.4, 5), (5.5, 5.4, 5), (5.6, 5.4, 6), (8.4, 8.4, 8), (8.5, 8.5, 9), (6.0, 5.0, 6)],
)
def test_fleischner_rounds_the_mean_to_a_whole_millimetre_half_up(long: float, short: float, mean: int) -> None:
    assert mean_whole_mm(long, short) == mean


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_tenths_written_as_fractions_come_back(long: int, short: int) -> None:
    assert tenths(long / 10) == long
    assert mean_tenths(long / 10, short / 10) == -(-(long + short) // 2)


def test_how_it_is_printed() -> None:
    assert [in_mm(t) for t in (60, 72, 150)] == ["6", "7.2", "15"]
