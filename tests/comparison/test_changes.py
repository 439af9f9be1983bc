"""The state of a nodule turns at a quarter of its volume; doubling times by hand."""

from __future__ import annotations

import pytest

from lungscan.clinical.nodule_type import Kind
from lungscan.comparison.changes import Seen, State, changed


def seen(volume_mm3: float, mean_mm: float = 8.0) -> Seen:
    return Seen(1, 4, (0.0, 0.0, 0.0), Kind.solid, mean_mm, mean_mm, mean_mm, mean_mm, volume_mm3, 0.9, None, False)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        *((100.0, State.stable), (124.9, State.stable), (125.0, State.growing), (400.0, State.growing)),
        *((75.1, State.stable), (75.0, State.shrinking), (10.0, State.shrinking)),
    ],
)
def test_the_state(now: float, state: State) -> None:
    assert changed(seen(100.0), seen(now), 1.0, 90.0).state is state


def test_doubling_time_of_what_grows() -> None:
    change = changed(seen(100.0, 5.8), seen(125.0, 6.2), 2.0, 90.0)
    assert change.doubling_days == pytest.approx(279.57, abs=0.005)
    assert change.growth == "280 days"
    assert (change.volume_change, change.mean_change_mm) == (0.25, pytest.approx(0.4))


@pytest.mark.parametrize("now", [124.0, 60.0])
def test_no_growth(now: float) -> None:
    change = changed(seen(100.0), seen(now), 1.0, 90.0)
    assert (change.doubling_days, change.growth) == (None, "no growth")


def test_without_a_time_between_nothing_is_guessed() -> None:
    change = changed(seen(100.0), seen(200.0), 1.0, None)
    assert (change.state, change.doubling_days) == (State.growing, None)
    assert "not given" in change.growth
