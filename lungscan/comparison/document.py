"""A comparison as plain dicts, lists, numbers and strings: the JSON form, its keys in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lungscan.comparison.changes import Change, Seen
from lungscan.comparison.compare import Comparison

SCHEMA = "lungscan-comparison/1"


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The same comparison gives the same dict; millimetres to three decimals, shares to six."""
    alignment = comparison.alignment
    return {
        "schema": SCHEMA,
        "prior": comparison.prior_path,
        "now": comparison.now_path,
        "days": _rounded(comparison.days, 1),
        "alignment": {
            "correlation": _rounded(alignment.correlation, 6),
            "dice": _rounded(alignment.dice, 6),
            "shown": _rounded(alignment.shown, 6),
            "matrix": [_list(row, 6) for row in alignment.matrix],
        },
        "nodules": [_change(c) for c in comparison.changes],
        "warnings": [{"code": w.code, "message": w.message} for w in comparison.warnings],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "state": change.state.value,
        "at_xyz_mm": _list(change.at_xyz_mm, 3),
        "prior": _seen(change.prior),
        "now": _seen(change.now),
        "apart_mm": _rounded(change.apart_mm, 3),
        "mean_change_mm": _rounded(change.mean_change_mm, 3),
        "diameter_change_mm": _rounded(change.diameter_change_mm, 3),
        "volume_change": _rounded(change.volume_change, 6),
        "doubling_days": _rounded(change.doubling_days, 1),
        "growth": change.growth,
    }


def _seen(seen: Seen | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "id": seen.id,
        "slice": seen.slice,
        "centre_xyz_mm": _list(seen.centre_xyz_mm, 3),
        "kind": seen.kind.value,
        "long_mm": _rounded(seen.long_mm, 3),
        "short_mm": _rounded(seen.short_mm, 3),
        "mean_mm": _rounded(seen.mean_mm, 3),
        "diameter_mm": _rounded(seen.diameter_mm, 3),
        "volume_mm3": _rounded(seen.volume_mm3, 3),
        "p_nodule": _rounded(seen.p_nodule, 6),
        "p_malignant": _rounded(seen.p_malignant, 6),
        "faint": seen.faint,
    }


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(float(value), decimals) + 0.0  # no minus zero


def _list(values: Iterable[float], decimals: int) -> list[float]:
    return [round(float(v), decimals) + 0.0 for v in values]
