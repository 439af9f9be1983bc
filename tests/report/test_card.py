"""A weights file's card in a terminal of 100 columns."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lungscan import weights
from lungscan.report.card import show
from lungscan.weights.card import Calibration, Card, OperatingPoint
from tests.support import random_networks, small_card

CALIBRATION = Calibration(network=0.8, peak=0.0, size=1.25, offset=-0.5)
POINTS = (OperatingPoint(0.25, 0.91, 0.8), OperatingPoint(1.0, 0.5, 0.925))
ABOUT: dict[str, Any] = {
    "measured": {"cross_validation": {"found": "6 of 6", "interval": [0.61, 1.0]}, "diameter_off": 0.12345678},
    "known_failures": ["Ground glass under 6 mm.", "\x1b[2JA mass\u202e at the hilum."],
    "series": [f"{k:016x}" for k in range(100)],
}


def shown(card: Card, folder: Path) -> str:
    weights.save(folder / "w", card, random_networks(card))
    file = io.StringIO()
    show(weights.load(folder / "w"), Console(file=file, width=100))
    return file.getvalue()


@pytest.fixture
def text(tmp_path: Path) -> str:
    card = replace(small_card(), operating_points=POINTS, trained_on=("0" * 16, "1" * 16), about=ABOUT)
    card = replace(card, grouping=replace(card.grouping, outline=0.35))
    return shown(replace(card, nodule_calibration=CALIBRATION), tmp_path)


def test_operating_points_are_lines(text: str) -> None:
    assert re.search(r"^\s+0\.25\s+80\.0 %\s+0\.9100\s*$", text, re.MULTILINE)
    assert re.search(r"^\s+1\s+92\.5 %\s+0\.5000\s*$", text, re.MULTILINE)


def test_where_a_candidate_is_measured_is_said(text: str) -> None:
    assert "measured over 35 % of the peak" in text


def test_series_are_counted_and_not_listed(text: str) -> None:
    assert "2 series" in text
    assert "1111111111111111" not in text
    assert "and 80 more" in text


def test_the_formula_is_the_calibration(text: str) -> None:
    """Worked out as it is printed, for P 0.9, peak 0.6 and 14 mm; a factor of zero is not printed."""
    line = next(line for line in text.splitlines() if "logit P = " in line)
    formula = line.split("= ")[1].replace("ln(diameter / 10 mm)", "* math.log(14 / 10)")
    formula = formula.replace("logit(network)", "* math.log(0.9 / 0.1)")
    p = 1 / (1 + math.exp(-eval(formula)))
    assert CALIBRATION(0.9, 0.6, 14.0) == pytest.approx(p, abs=1e-9)
    assert "logit(peak)" not in formula


def test_figures_are_rounded_and_intervals_read(text: str) -> None:
    assert "cross validation: found 6 of 6, interval 0.61 to 1" in text
    assert "diameter off: 0.1235" in text


def test_texts_are_inert_and_fit(text: str) -> None:
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_a_card_does_not_know_is_said(tmp_path: Path) -> None:
    card = small_card()
    networks = {name: part for name, part in random_networks(card).items() if name != "malignancy"}
    weights.save(tmp_path / "w", replace(card, malignancy=None), networks)
    file = io.StringIO()
    show(weights.load(tmp_path / "w"), Console(file=file, width=100))
    for said in ("not calibrated", "no operating points", "no series are named"):
        assert said in file.getvalue()
    assert "P(malignant)" not in file.getvalue()
