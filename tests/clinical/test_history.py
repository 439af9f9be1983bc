"""Growth as Lung-RADS v2022 means it: the mean diameter up by more than 1.5 mm within 12 months."""

from __future__ import annotations

import pytest

from lungscan.clinical.history import history
from lungscan.clinical.lung_rads_sizes import Status
from lungscan.clinical.nodule_type import Kind
from tests.clinical.hand_made import measures


@pytest.mark.parametrize(
    ("before", "now", "months", "status"),
    [
        (7.0, 8.5, 6, Status.stable),
        (7.0, 8.6, 6, Status.growing),
        (7.0, 8.6, 12, Status.growing),
        (7.0, 8.6, 12.4, Status.growing),  # 12 months, rounded
        (7.0, 8.6, 12.5, None),
        (7.0, 8.5, 30, Status.stable),
        (7.0, 4.0, 6, Status.stable),
        (7.0, 8.6, None, None),
        (7.0, 8.5, None, Status.stable),
    ],
)
def test_the_border_of_growth(before: float, now: float, months: float | None, status: Status | None) -> None:
    found = history(measures(now), measures(before), Kind.solid, months)
    assert found.status == status
    if months is None and status is None:
        assert found.missing == ("months",)
    elif status is None:
        assert found.inapplicable
        assert "not decidable" in found.inapplicable


def test_what_was_not_there_is_new() -> None:
    assert history(measures(5.0), None, Kind.solid, None).status is Status.new


@pytest.mark.parametrize(
    ("before", "now", "status"),
    [
        (measures(12, Kind.ground_glass), measures(12, Kind.part_solid, 3.0), Status.growing),
        (measures(12, Kind.part_solid, 4.0), measures(12, Kind.part_solid, 5.5), Status.stable),
        (measures(12, Kind.part_solid, 4.0), measures(12, Kind.part_solid, 5.6), Status.growing),
        (measures(10, Kind.part_solid, 4.0), measures(15, Kind.part_solid, 4.0), Status.stable),
    ],
)
def test_of_a_part_solid_nodule_the_solid_part_counts(before, now, status: Status) -> None:
    assert history(now, before, Kind.part_solid, 6).status == status
