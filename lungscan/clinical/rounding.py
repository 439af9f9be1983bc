"""Guideline millimetres as integers: a mean of 5.95 must round to 6.0, which binary fractions get wrong."""

from __future__ import annotations

import math

_BINARY_DUST = 1e-6


def tenths(mm: float) -> int:
    """Millimetres in whole tenths, half up."""
    return math.floor(mm * 10 + 0.5 + _BINARY_DUST)


def mean_tenths(long_mm: float, short_mm: float) -> int:
    """Mean diameter in tenths of a millimetre: axes to 0.1 mm, then their mean to 0.1 mm, half up (Lung-RADS v2022)."""
    return (tenths(long_mm) + tenths(short_mm) + 1) // 2


def mean_whole_mm(long_mm: float, short_mm: float) -> int:
    """Mean diameter in whole millimetres, half up: 5.5 is 6, 5.4 and 5.45 are 5 (Fleischner Society 2017)."""
    return (tenths(long_mm) + tenths(short_mm) + 10) // 20


def in_mm(tenths_of_mm: int) -> str:
    """As it is printed: 60 is "6", 72 is "7.2"."""
    return f"{tenths_of_mm / 10:g}"
