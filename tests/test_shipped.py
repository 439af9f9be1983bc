"""The networks that ship: what their card owes a reader, and what they find in the real scans that are at hand.

They learned from these very scans, so finding their nodules shows that the whole way from file to report works with them and
nothing of their quality; the card's figures are of patients left out.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from lungscan import scan, weights
from lungscan.findings import Report
from lungscan.settings import Settings
from lungscan.weights.card import Card


@pytest.fixture(scope="module")
def card() -> Card:
    return weights.load(weights.shipped()).card


def test_the_card_says_what_a_reader_needs(card: Card) -> None:
    for key in (
        "warning",
        "intended_use",
        "training",
        "split",
        "measured",
        "licence",
        "calibration",
        "known_failures",
        "command",
    ):
        assert card.about[key], key
    assert len(card.trained_on) == len(set(card.trained_on)) > 100
    assert card.nodule_calibration is not None
    assert card.malignancy_calibration is not None


def test_operating_points_rise_together(card: Card) -> None:
    """More false positives allowed, a lower threshold, no fewer nodules; the card's own is one of them."""
    points = card.operating_points
    assert [p.fp_per_scan for p in points] == sorted({p.fp_per_scan for p in points})
    assert [p.threshold_nodule for p in points] == sorted((p.threshold_nodule for p in points), reverse=True)
    assert [p.sensitivity for p in points] == sorted(p.sensitivity for p in points)
    assert card.thresholds.nodule in [p.threshold_nodule for p in points]


def test_a_larger_nodule_is_never_less_likely_malignant_by_its_size(card: Card) -> None:
    assert card.malignancy_calibration is not None
    assert card.malignancy_calibration.size > 0
    assert card.malignancy_calibration.network >= 0


def report(path: Path) -> Report:
    return scan(path, Settings(precision="fp32"))


@pytest.mark.parametrize("patient", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_luna16_s_nodules_are_found(data: Path, patient: str) -> None:
    found = report(data / "lidc" / f"{patient}.zip")
    assert any(notice.code == "trained_on" for notice in found.warnings)
    with (data / "lidc" / f"{patient}.luna16_annotations.csv").open(newline="") as file:
        truth = [(tuple(float(r[f"coord{a}"]) for a in "XYZ"), float(r["diameter_mm"])) for r in csv.DictReader(file)]
    assert truth
    for centre, diameter in truth:
        best = min(found.nodules, key=lambda n: math.dist(n.centre_xyz_mm, centre))
        assert math.dist(best.centre_xyz_mm, centre) < diameter / 2
        assert best.diameter_mm == pytest.approx(diameter, rel=0.25)


@pytest.mark.parametrize(
    ("file", "centre", "diameter", "fp_per_scan"),
    [
        ("lung-dx/A0001.zip", (41.0, 204.1, -208.6), 55.6, None),
        ("cptac-lscc/C3N-00247.zip", (-80.8, -191.4, -191.0), 18.0, None),
        ("4d-lung/113_HM10395.zip", (60.0, 143.3, -944.1), 50.6, 2),  # a mass at the aorta: missed at the card's threshold
    ],
)
def test_the_other_collections_lesions_are_found(
    data: Path, file: str, centre: tuple[float, float, float], diameter: float, fp_per_scan: float | None
) -> None:
    found = scan(data / file, Settings(precision="fp32", fp_per_scan=fp_per_scan))
    assert any(math.dist(n.centre_xyz_mm, centre) < diameter / 2 for n in found.nodules)
