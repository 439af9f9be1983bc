"""Growth of a volume between two scans: change and doubling time."""

from __future__ import annotations

import math

GROWTH_SHARE = 0.25
"""Least relative change of volume that counts as one: a repeated scan on the same day differs by up to this (BTS 2015,
Callister et al., Thorax 70 Suppl 2; NELSON)."""


def volume_change(before_mm3: float, now_mm3: float) -> float:
    """Change as a share of the earlier volume: 0.25 is +25 %. Raises ValueError without two volumes."""
    if before_mm3 <= 0 or now_mm3 <= 0:
        raise ValueError(f"volumes must be positive, not {before_mm3} and {now_mm3} mm3")
    return now_mm3 / before_mm3 - 1


def doubling_time_days(before_mm3: float, now_mm3: float, days: float) -> float | None:
    """Volume doubling time in days, `days * ln 2 / ln(now / before)`; None where nothing grew (BTS 2015, Callister et al.,
    Thorax 70 Suppl 2). Raises ValueError without two volumes and a time between them."""
    if days <= 0:
        raise ValueError(f"the second scan must be later than the first, not by {days} days")
    change = volume_change(before_mm3, now_mm3)
    return days * math.log(2) / math.log1p(change) if change > 0 else None


def doubling_time_from_diameters(before_mm: float, now_mm: float, days: float) -> float | None:
    """The same for two diameters of spheres: `days * ln 2 / (3 ln(now / before))`."""
    return doubling_time_days(before_mm**3, now_mm**3, days)
