"""A nodule beside the one it was in an earlier scan, as Lung-RADS v2022 reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lungscan.clinical.lung_rads_sizes import Status
from lungscan.clinical.measure import Axes, NoduleMeasures
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.rounding import in_mm, mean_tenths

GROWTH_TENTHS = 15
"""Growth is an increase of the mean diameter by more than 1.5 mm within 12 months; exactly 1.5 mm is none."""

GROWTH_MONTHS = 12
DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Prior:
    """What an earlier scan showed.

    months : between the scans, None when not known
    before : for each nodule of the newer scan its measures in the earlier one, None for a new nodule; a nodule where the
             earlier scan does not reach is left out
    """

    months: float | None
    before: Mapping[int, NoduleMeasures | None] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """`status` is None when it cannot be told: for a missing fact, or because the guideline leaves it open."""

    status: Status | None
    because: str = ""
    missing: tuple[str, ...] = ()
    inapplicable: str | None = None


def history(now: NoduleMeasures, before: NoduleMeasures | None, kind: Kind, months: float | None) -> History:
    """New, stable or growing (ACR Lung-RADS v2022, JACR 21:473-488, 2024); months are rounded to whole ones.

    Of a part-solid nodule the solid part counts: growing when it is new or grew, and stable otherwise.
    """
    if before is None:
        return History(Status.new, "not in the prior scan")
    if kind is Kind.part_solid:
        if before.kind is Kind.ground_glass:
            return History(Status.growing, "its solid part is new")
        if now.solid is not None and before.solid is not None:
            return _grown("solid part", before.solid, now.solid, months)
    return _grown("mean diameter", before.axes, now.axes, months)


def whole_months(months: float) -> int:
    return int(months + 0.5)


def _grown(what: str, before: Axes, now: Axes, months: float | None) -> History:
    was, is_ = mean_tenths(before.long_mm, before.short_mm), mean_tenths(now.long_mm, now.short_mm)
    change = f"{what} {in_mm(was)} -> {in_mm(is_)} mm"
    limit = f"{in_mm(GROWTH_TENTHS)} mm"
    if is_ - was <= GROWTH_TENTHS:
        return History(Status.stable, f"{change}, not up by more than {limit}")
    if months is None:
        return History(None, change, missing=("months",))
    whole = whole_months(months)
    if whole > GROWTH_MONTHS:
        why = f"growth is not decidable by the 12-month rule: {change} in {whole} months"
        return History(None, change, inapplicable=why)
    return History(Status.growing, f"{change} in {whole} months, up by more than {limit}")
