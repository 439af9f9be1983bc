"""Which of the card's operating points a rate of false positives means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lungscan import operating
from lungscan.errors import LungscanError, UsageError, WeightsRefused
from lungscan.findings import OperatingFacts
from lungscan.settings import Settings
from lungscan.weights.card import OperatingPoint
from tests.support import small_card

POINTS = tuple(OperatingPoint(*row) for row in ((0.125, 0.9, 0.6), (0.94, 0.7, 0.85), (2.0, 0.4, 0.9), (7.5, 0.1, 0.97)))
CARD = replace(small_card(), operating_points=POINTS)


@pytest.mark.parametrize(("rate", "threshold"), [(0.125, 0.9), (0.93, 0.9), (0.94, 0.7), (1.0, 0.7), (2.0, 0.4), (7.4, 0.4)])
def test_the_most_that_is_no_more_than_asked_for(rate: float, threshold: float) -> None:
    assert operating.thresholds(CARD, Settings(fp_per_scan=rate)).nodule == threshold


def test_of_equal_rates_the_one_that_finds_more() -> None:
    twice = (OperatingPoint(1.0, 0.7, 0.8), OperatingPoint(1.0, 0.6, 0.9), OperatingPoint(1.0, 0.65, 0.85))
    assert operating.thresholds(replace(CARD, operating_points=twice), Settings(fp_per_scan=1)).nodule == 0.6


def test_the_report_tells_what_was_asked_for_and_what_was_measured() -> None:
    assert operating.facts(CARD, Settings(fp_per_scan=1.0)) == OperatingFacts(1.0, 0.94, 0.85)
    assert operating.facts(CARD, Settings(threshold_nodule=0.7)) is None


@pytest.mark.parametrize(
    ("card", "rate", "failure", "said"),
    [
        (CARD, 0.1, UsageError, "0.125 to 7.5 false positives"),
        (CARD, 8.0, UsageError, "0.125 to 7.5 false positives"),
        (CARD, float("nan"), UsageError, "0.125 to 7.5"),
        (small_card(), 1.0, WeightsRefused, "small do not tell"),
    ],
)
def test_what_the_card_does_not_know_is_refused(card: object, rate: float, failure: type[LungscanError], said: str) -> None:
    with pytest.raises(failure, match=said):
        operating.thresholds(card, Settings(fp_per_scan=rate))  # type: ignore[arg-type]


def test_each_threshold_is_the_user_s_else_the_card_s() -> None:
    own = operating.thresholds(CARD, Settings())
    assert own == CARD.thresholds
    assert operating.thresholds(CARD, Settings(threshold_segmentation=0.01)) == replace(own, segmentation=0.01)
    assert operating.thresholds(CARD, Settings(threshold_nodule=0.0)) == replace(own, nodule=0.0)
    assert operating.thresholds(CARD, Settings(threshold_malignancy=1.0)) == replace(own, malignancy=1.0)
