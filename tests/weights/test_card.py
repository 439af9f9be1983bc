"""The card: its JSON round trip, what it refuses, and the calibration's line."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from lungscan.errors import WeightsRefused
from lungscan.weights.card import Calibration, OperatingPoint, UNetCard, parse
from tests.support import small_card

FULL = replace(
    small_card(),
    segmentation=UNetCard(3, 4, "half"),
    nodule_calibration=Calibration(0.8, 0.5, 0.3, -1.0),
    malignancy_calibration=Calibration(0.0, 0.0, 2.0, -0.5),
    operating_points=(OperatingPoint(0.5, 0.7, 0.8), OperatingPoint(1.0, 0.6, 0.9)),
    trained_on=("0123456789abcdef",),
    about={"licence": "Apache-2.0"},
)


def test_the_card_comes_back_from_its_json() -> None:
    assert parse(FULL.to_json()) == FULL
    assert parse(small_card().to_json()) == small_card()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("segmentation", "stem"), "quarter"),
        (("input", "crop_scales"), []),
        (("input", "crop_scales"), [0]),
        (("grouping", "outline"), 1.5),
        (("nodule_calibration", "offset"), math.inf),
        (("nodule_calibration", "slope"), 1.0),
        (("operating_points",), [{"fp_per_scan": 1.0}]),
        (("format",), "lungscan-weights/1"),
    ],
)
def test_a_value_out_of_bounds_is_refused(path: tuple[str, ...], value: Any) -> None:
    raw = json.loads(FULL.to_json())
    part = raw
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(WeightsRefused):
        parse(json.dumps(raw))


def test_the_calibration_is_a_line_on_logits_and_the_logarithm_of_the_size() -> None:
    """logit(0.9) = ln 9, logit(0.75) = ln 3, a diameter of 20 mm is ln 2 over 10 mm."""
    odds = 9**0.8 * 3**0.5 * 2**0.3 * math.e**-1.0
    assert Calibration(0.8, 0.5, 0.3, -1.0)(0.9, 0.75, 20.0) == pytest.approx(odds / (1 + odds))
    assert Calibration(1.0, 0.0, 0.0, 0.0)(0.37, 0.5, 10.0) == pytest.approx(0.37)


def test_certainty_stays_finite() -> None:
    sure = Calibration(5.0, 5.0, 0.0, 0.0)
    assert 0 < sure(0.0, 0.0, 10.0) < 1e-9
    assert 1 - 1e-9 < sure(1.0, 1.0, 10.0) <= 1
