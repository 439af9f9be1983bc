"""The learning rate by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from lungscan.training.schedule import RISE, START, one_cycle


def test_it_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [one_cycle(step, 101, 3e-3) for step in range(101)]
    top = round(RISE * 100)
    assert rates[0] == pytest.approx(START * 3e-3)
    assert rates[top] == pytest.approx(3e-3)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.25, math.cos(math.pi / 8) ** 2), (0.5, 0.5), (0.75, math.sin(math.pi / 8) ** 2)]
)
def test_the_way_down_is_half_a_cosine(share: float, expected: float) -> None:
    """cos²(x/2) = (1 + cos x) / 2."""
    steps = 401
    top = round(RISE * (steps - 1))
    assert one_cycle(top + round(share * (steps - 1 - top)), steps, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_have_a_rate_too(steps: int) -> None:
    assert all(0 <= one_cycle(step, steps, 1.0) <= 1 for step in range(steps))
