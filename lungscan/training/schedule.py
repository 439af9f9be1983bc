"""The learning rate: up to its peak and down to nothing, once (Smith and Topin 2018), both ways along half a cosine."""

from __future__ import annotations

import math

RISE = 0.25  # share of the steps on the way up
START = 0.04  # share of the peak at the first step


def one_cycle(step: int, steps: int, peak: float) -> float:
    """The rate at `step` of 0 to `steps` - 1: a function of the step alone, so a training can go on anywhere.

    >>> [round(one_cycle(k, 9, 1.0), 2) for k in (0, 1, 2, 5, 8)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    top = round(RISE * (steps - 1))
    if step < top:
        return peak * (START + (1 - START) * (1 - math.cos(math.pi * step / top)) / 2)
    return peak * (1 + math.cos(math.pi * (step - top) / max(steps - 1 - top, 1))) / 2
