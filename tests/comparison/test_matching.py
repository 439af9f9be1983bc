"""One to one, the least distance in all, nothing over the gate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungscan.comparison.matching import match

points = st.lists(st.tuples(*[st.integers(-20, 20)] * 3), max_size=4).map(lambda p: np.array(p, float).reshape(-1, 3))


def best_by_trying_all(prior: np.ndarray, now: np.ndarray, gate: float) -> tuple[int, float]:
    """Most pairs within the gate, then the least distance, over every way to pair."""
    apart = np.linalg.norm(prior[:, None] - now[None], axis=-1)
    few = min(len(prior), len(now))
    best = (0, 0.0)
    for rows in itertools.permutations(range(len(prior)), few):
        for columns in itertools.combinations(range(len(now)), few):
            inside = [apart[i, j] for i, j in zip(rows, columns, strict=True) if apart[i, j] <= gate]
            best = min(best, (-len(inside), float(sum(inside))))
    return -best[0], best[1]


@given(points, points)
def test_no_other_pairing_is_better(prior: np.ndarray, now: np.ndarray) -> None:
    pairs = match(prior, now, 15.0)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    apart = [float(np.linalg.norm(prior[i] - now[j])) for i, j in pairs]
    assert all(mm <= 15.0 for mm in apart)
    count, total = best_by_trying_all(prior, now, 15.0)
    assert (len(pairs), sum(apart)) == (count, pytest.approx(total))


def test_the_nearest_is_not_always_right() -> None:
    """0 and 4 beside 5 and 9: the nearest pair (4, 5) would leave 0 and 9 alone, 9 mm apart."""
    prior, now = (np.array([[x, 0, 0] for x in xs], float) for xs in ((0, 4), (5, 9)))
    assert match(prior, now, 6.0) == [(0, 0), (1, 1)]


def test_the_gate_holds_at_its_border() -> None:
    origin = np.zeros((1, 3))
    assert match(origin, np.array([[15.0, 0, 0]]), 15.0) == [(0, 0)]
    assert match(origin, np.array([[15.001, 0, 0]]), 15.0) == []
