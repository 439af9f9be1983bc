"""Draws with replacement and the interval's ranks, by hand."""

from __future__ import annotations

import math

import numpy as np

from lungscan.evaluation.bootstrap import draws, interval


def test_an_interval_leaves_out_a_fortieth_at_each_end() -> None:
    assert interval(np.arange(1000.0)[::-1]) == (25.0, 975.0)
    assert all(map(math.isnan, interval(np.zeros(0))))


def test_as_many_are_drawn_as_there_are_and_each_once_on_average() -> None:
    times = np.stack(list(draws(7, 4000, seed=1)))
    assert (times.sum(axis=1) == 7).all()
    # binomial: mean 1, deviation sqrt(6/7), so the mean of 4000 lies within 4 * 0.0146
    assert np.abs(times.mean(axis=0) - 1).max() < 0.06
    assert (times == np.stack(list(draws(7, 4000, seed=1)))).all()
