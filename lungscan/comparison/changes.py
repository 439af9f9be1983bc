"""What became of a nodule between two scans: its state, and how its size changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lungscan.clinical.growth import GROWTH_SHARE, doubling_time_days, volume_change
from lungscan.clinical.nodule_type import Kind
from lungscan.volume import Triple


class State(StrEnum):
    """`outside`: where the other scan does not reach, so nothing can be said."""

    new = "new"
    stable = "stable"
    growing = "growing"
    shrinking = "shrinking"
    gone = "gone"
    outside = "outside"


@dataclass(frozen=True)
class Seen:
    """A nodule as one scan shows it. `id` and `slice` are those of that scan's report.

    mean_mm : mean of long and short axis, as guidelines measure
    faint   : a candidate of that scan whose P(nodule) is under its threshold
    """

    id: int
    slice: int
    centre_xyz_mm: Triple
    kind: Kind
    long_mm: float
    short_mm: float
    mean_mm: float
    diameter_mm: float
    volume_mm3: float
    p_nodule: float
    p_malignant: float | None
    faint: bool


@dataclass(frozen=True)
class Change:
    """One nodule in both scans, or in one alone.

    at_xyz_mm      : where it lies, or would lie, in the newer scan
    apart_mm       : between the aligned centres
    volume_change  : as a share of the earlier volume
    doubling_days  : None where nothing grew by GROWTH_SHARE, or when the time between the scans is not known
    growth         : the doubling time in words: "no growth", "231 days", or what is missing
    """

    state: State
    prior: Seen | None
    now: Seen | None
    at_xyz_mm: Triple
    apart_mm: float | None = None
    mean_change_mm: float | None = None
    diameter_change_mm: float | None = None
    volume_change: float | None = None
    doubling_days: float | None = None
    growth: str = ""


def changed(prior: Seen, now: Seen, apart_mm: float, days: float | None) -> Change:
    """A nodule that both scans show: growing or shrinking when its volume changed by 25 % or more, else stable.

    The limit is that of BTS 2015 and NELSON (`lungscan.clinical.growth`).
    """
    share = volume_change(prior.volume_mm3, now.volume_mm3)
    state = State.growing if share >= GROWTH_SHARE else State.shrinking if share <= -GROWTH_SHARE else State.stable
    doubling = None
    if state is State.growing and days is not None:
        doubling = doubling_time_days(prior.volume_mm3, now.volume_mm3, days)
    return Change(
        state=state,
        prior=prior,
        now=now,
        at_xyz_mm=now.centre_xyz_mm,
        apart_mm=apart_mm,
        mean_change_mm=now.mean_mm - prior.mean_mm,
        diameter_change_mm=now.diameter_mm - prior.diameter_mm,
        volume_change=share,
        doubling_days=doubling,
        growth=_in_words(state, doubling),
    )


def _in_words(state: State, doubling: float | None) -> str:
    if state is not State.growing:
        return "no growth"
    return "months between the scans not given" if doubling is None else f"{doubling:.0f} days"
