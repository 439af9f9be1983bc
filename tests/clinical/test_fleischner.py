"""Every cell of Fleischner 2017 (MacMahon et al., Radiology 284:228-243), and its borders in whole millimetres."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lungscan.clinical.fleischner import LARGE, MEDIUM, SMALL, Sized, band, recommend, refusal, solid, subsolid, volume_band
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.patient import PatientFacts, Risk, Setting

SIX_LOW, SIX_HIGH = "CT at 6-12 months, then consider CT at 18-24 months", "CT at 6-12 months, then CT at 18-24 months"
THREE_LOW, THREE_HIGH = "CT at 3-6 months, then consider CT at 18-24 months", "CT at 3-6 months, then CT at 18-24 months"
NONE, OPTIONAL = "no routine follow-up", "optional CT at 12 months"
WORK_UP = "consider CT at 3 months, PET/CT or tissue sampling"


def sized(kind: Kind, mean_mm: int, solid_mm: int | None = None, grew: bool = False, id_: int = 1) -> Sized:
    return Sized(id_, kind, mean_mm, math.pi / 6 * mean_mm**3, solid_mm, grew)


@pytest.mark.parametrize(
    ("several", "risk", "cells"),
    [
        (False, Risk.low, (NONE, SIX_LOW, WORK_UP)),
        (False, Risk.high, (OPTIONAL, SIX_HIGH, WORK_UP)),
        (True, Risk.low, (NONE, THREE_LOW, THREE_LOW)),
        (True, Risk.high, (OPTIONAL, THREE_HIGH, THREE_HIGH)),
        (False, None, (None, None, WORK_UP)),  # where both risks say the same, the risk is not needed
        (True, None, (None, None, None)),
    ],
)
def test_solid(several: bool, risk: Risk | None, cells: tuple[str | None, ...]) -> None:
    assert tuple(solid(size, several=several, risk=risk) for size in (SMALL, MEDIUM, LARGE)) == cells


@pytest.mark.parametrize(("mm", "size"), [(1, SMALL), (5, SMALL), (6, MEDIUM), (7, MEDIUM), (8, MEDIUM), (9, LARGE)])
def test_borders_of_the_diameter(mm: int, size: str) -> None:
    assert band(mm) == size


@pytest.mark.parametrize(
    ("mm3", "size"), [(99.9, SMALL), (100, MEDIUM), (100.1, MEDIUM), (249.9, MEDIUM), (250, MEDIUM), (250.1, LARGE)]
)
def test_borders_of_the_volume(mm3: float, size: str) -> None:
    assert volume_band(mm3) == size


GROUND_GLASS = "CT at 6-12 months, then every 2 years until 5 years"
PART_SOLID = "CT at 3-6 months; unchanged with a solid part < 6 mm: every year for 5 years"
SUSPICIOUS = "PET/CT, biopsy or resection to be considered"
SEVERAL_SMALL = "CT at 3-6 months; if stable consider CT at 2 and 4 years"
SEVERAL = "CT at 3-6 months, then by the most suspicious nodule"


@pytest.mark.parametrize(
    ("nodule", "several", "expected"),
    [
        (sized(Kind.ground_glass, 5), False, NONE),
        (sized(Kind.ground_glass, 6), False, GROUND_GLASS),
        (sized(Kind.ground_glass, 30), False, GROUND_GLASS),
        (sized(Kind.part_solid, 5, 4), False, NONE),
        (sized(Kind.part_solid, 6, 5), False, PART_SOLID),
        (sized(Kind.part_solid, 6, 6), False, SUSPICIOUS),
        (sized(Kind.part_solid, 20, 6), False, SUSPICIOUS),
        (sized(Kind.part_solid, 20, 3, grew=True), False, SUSPICIOUS),
        (sized(Kind.ground_glass, 5), True, SEVERAL_SMALL),
        (sized(Kind.part_solid, 5, 2), True, SEVERAL_SMALL),
        (sized(Kind.ground_glass, 6), True, SEVERAL),
        (sized(Kind.part_solid, 12, 7), True, SEVERAL),
    ],
)
def test_subsolid(nodule: Sized, several: bool, expected: str) -> None:
    assert subsolid(nodule, several=several) == expected


KNOWN = PatientFacts(setting=Setting.incidental, age=60, cancer_history=False, immunosuppression=False)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"setting": Setting.screening}, "screening"),
        ({"age": 34.9}, "35"),
        ({"cancer_history": True}, "cancer"),
        ({"immunosuppression": True}, "immunosuppression"),
    ],
)
def test_whom_it_is_not_for(change: dict[str, object], word: str) -> None:
    outcome = refusal(replace(KNOWN, **change))
    assert outcome is not None
    assert outcome.inapplicable is not None
    assert word in outcome.inapplicable


def test_whom_it_is_for() -> None:
    assert refusal(KNOWN) is None
    assert refusal(replace(KNOWN, age=35)) is None


@pytest.mark.parametrize("fact", ["setting", "age", "cancer_history", "immunosuppression"])
def test_a_fact_of_its_scope_that_is_missing_is_named(fact: str) -> None:
    outcome = refusal(replace(KNOWN, **{fact: None}))
    assert outcome is not None
    assert outcome.missing == (fact,)


def test_the_largest_of_each_kind_leads() -> None:
    nodules = [sized(Kind.solid, 5), sized(Kind.calcified, 7, id_=2), sized(Kind.ground_glass, 8, id_=3)]
    of_solid, of_subsolid = recommend(nodules, Risk.low, 1.0)
    assert (of_solid.result, of_subsolid.result) == (THREE_LOW, GROUND_GLASS)
    assert of_solid.because == "nodule 2: 2 nodules, the largest, calcified, 7 mm (6-8 mm), low risk"


def test_a_risk_that_decides_is_named_when_missing() -> None:
    (outcome,) = recommend([sized(Kind.solid, 7)], None, 1.0)
    assert (outcome.result, outcome.missing) == (None, ("risk",))
    (outcome,) = recommend([sized(Kind.solid, 9)], None, 1.0)
    assert (outcome.result, outcome.missing) == (WORK_UP, ())


def test_remarks_tell_thick_slices_growth_and_another_volume_class() -> None:
    (outcome,) = recommend([replace(sized(Kind.solid, 7, grew=True), volume_mm3=300)], Risk.low, 2.5)
    thick, grew, volume = outcome.remarks
    assert "2.5 mm" in thick
    assert "2 mm" in grew
    assert "300 mm3" in volume
    (outcome,) = recommend([sized(Kind.solid, 7)], Risk.low, 1.5)
    assert outcome.remarks == ()


def test_without_nodules_it_says_nothing() -> None:
    (outcome,) = recommend([], Risk.low, 1.0)
    assert (outcome.result, outcome.inapplicable) == (None, "no nodules were found")
