"""Brock against published calculator examples and arithmetic by hand (McWilliams et al., NEJM 2013, Table 2)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lungscan.clinical.brock import MODELS, brock, log_odds, probability
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.patient import NoduleFacts, PatientFacts, Sex

S, P, G = Kind.solid, Kind.part_solid, Kind.ground_glass


@pytest.mark.parametrize(
    ("age", "female", "family", "emphysema", "mm", "kind", "upper", "count", "spiculated", "x", "p"),
    [
        (65, 1, 0, 1, 15, S, 1, 2, 1, -0.092908, 0.476790),  # published 47.7 %
        (55, 0, 0, 0, 5, S, 0, 1, 0, -5.843631, 0.002890),  # published 0.3 %
        (70, 1, 1, 1, 20, P, 1, 1, 1, 1.395035, 0.801395),  # published 80.1 %
        (65, 1, 0, 0, 15, S, 1, 1, 0, -1.078738, 0.253745),  # published .2537
        (62, 0, 0, 0, 4, S, 0, 4, 0, -6.789170, 0.001125),  # all terms zero
        (62, 1, 1, 1, 8, P, 1, 1, 1, -1.047357, 0.259733),
        (70, 0, 0, 1, 12, G, 1, 2, 0, -1.970211, 0.122366),
        (60, 1, 0, 0, 6, S, 0, 3, 0, -4.600451, 0.009947),
    ],
)
def test_model_2b(age, female, family, emphysema, mm, kind, upper, count, spiculated, x, p) -> None:
    got = log_odds(
        "2b",
        age=age,
        female=female,
        family_history=family,
        emphysema=emphysema,
        long_mm=mm,
        kind=kind,
        upper_lobe=upper,
        count=count,
        spiculated=spiculated,
    )
    assert got == pytest.approx(x, abs=2e-6)
    assert probability(got) == pytest.approx(p, abs=1e-6)


FACTS = {"age": 65, "female": True, "family_history": False, "emphysema": False, "long_mm": 15, "kind": S}
FACTS |= {"upper_lobe": True, "count": 1}


def test_model_2a() -> None:
    assert probability(log_odds("2a", **FACTS)) == pytest.approx(0.297378, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "fact", "value", "coefficient"),
    [
        ("2b", "age", 66, 0.0287),
        ("2b", "female", False, -0.6011),
        ("2b", "family_history", True, 0.2961),
        ("2b", "emphysema", True, 0.2953),
        ("2b", "kind", P, 0.3770),
        ("2b", "kind", G, -0.1276),
        ("2b", "kind", Kind.calcified, 0.0),
        ("2b", "upper_lobe", False, -0.6581),
        ("2b", "count", 2, -0.0824),
        ("2b", "spiculated", True, 0.7729),
        ("2a", "age", 66, 0.0321),
        ("2a", "female", False, -0.5635),
        ("2a", "family_history", True, 0.3013),
        ("2a", "emphysema", True, 0.3462),
        ("2a", "kind", P, 0.3395),
        ("2a", "upper_lobe", False, -0.7116),
        ("2a", "count", 2, -0.0803),
        ("2a", "spiculated", True, 0.0),
    ],
)
def test_each_term_is_the_table_s(model: str, fact: str, value: object, coefficient: float) -> None:
    """One fact changed by one unit moves x by its printed coefficient."""
    moved = log_odds(model, **(FACTS | {fact: value})) - log_odds(model, **FACTS)
    assert moved == pytest.approx(coefficient, abs=5e-5)


@pytest.mark.parametrize(("model", "intercept", "size"), [("2b", -6.7892, -5.3854), ("2a", -6.8071, -5.6693)])
def test_intercept_and_size(model: str, intercept: float, size: float) -> None:
    zero = FACTS | {"age": 62, "female": False, "upper_lobe": False, "count": 4}
    assert log_odds(model, **(zero | {"long_mm": 4})) == pytest.approx(intercept, abs=5e-5)
    assert log_odds(model, **(zero | {"long_mm": 10})) == pytest.approx(intercept + size * (1 - 0.4**-0.5), abs=1e-4)


def test_seven_figures_move_little() -> None:
    four = replace(
        MODELS["2b"],
        **dict(intercept=-6.7892, age=0.0287, female=0.6011, emphysema=0.2953, size=-5.3854, upper_lobe=0.6581),  # noqa: C408
    )
    x = four.intercept + four.age * 3 + four.female + four.emphysema + four.size * ((15 / 10) ** -0.5 - 0.4**-0.5)
    x += four.upper_lobe - 0.0824 * -2 + 0.7729
    assert 1 / (1 + math.exp(-x)) == pytest.approx(0.476790, abs=3e-5)


def test_2a_refuses_ground_glass() -> None:
    with pytest.raises(ValueError, match="ground glass"):
        log_odds("2a", **(FACTS | {"kind": G}))


PATIENT = PatientFacts(age=65, sex=Sex.female, family_history=False, emphysema=True)
NODULE = NoduleFacts(upper_lobe=True, spiculated=True)


def test_the_outcome_tells_what_it_was_told() -> None:
    outcome = brock(PATIENT, NODULE, S, 15.0, 2)
    assert (outcome.version, outcome.result) == ("PanCan 2b", "47.7 %")
    assert outcome.probability == pytest.approx(0.476790, abs=1e-6)
    for word in ("15.0 mm", "age 65", "female", "family history no", "emphysema yes", "upper lobe yes", "2 nodules"):
        assert word in outcome.because


@pytest.mark.parametrize("fact", ["age", "sex", "family_history", "emphysema"])
def test_a_missing_fact_of_the_patient_is_named(fact: str) -> None:
    outcome = brock(replace(PATIENT, **{fact: None}), NODULE, S, 15.0, 2)
    assert (outcome.result, outcome.probability, outcome.missing) == (None, None, (fact,))


def test_missing_facts_of_the_nodule() -> None:
    assert brock(PATIENT, NoduleFacts(spiculated=True), S, 15.0, 2).missing == ("upper_lobe",)
    without = brock(PATIENT, NoduleFacts(upper_lobe=True), S, 15.0, 2)
    assert without.version == "PanCan 2a"
    assert without.remarks
    assert brock(PATIENT, NoduleFacts(upper_lobe=True), G, 15.0, 2).missing == ("spiculated",)
