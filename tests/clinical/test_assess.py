"""Which guideline speaks for whom, and with which numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lungscan.clinical.assess import assess
from lungscan.clinical.history import Prior
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import NoduleFacts, PatientFacts, Risk, Setting, Sex
from tests.clinical.hand_made import measures, nodule

SCREENED = PatientFacts(
    setting=Setting.screening,
    age=65,
    sex=Sex.female,
    family_history=False,
    emphysema=True,
    prior_ct=False,
    nodules={1: NoduleFacts(upper_lobe=True, spiculated=False)},
)
BY_CHANCE = PatientFacts(
    setting=Setting.incidental, age=65, cancer_history=False, immunosuppression=False, risk=Risk.low, prior_ct=False
)


def by_name(outcomes: tuple[Outcome, ...]) -> dict[str, Outcome]:
    return {o.guideline: o for o in outcomes}


def test_screening() -> None:
    assessment = assess([nodule(1, 7.2), nodule(2, 4.0)], SCREENED)
    scan = by_name(assessment.scan)
    assert scan["Lung-RADS"].result == "3"
    assert scan["Lung-RADS"].because == "nodule 1: solid, baseline, 7.2 mm >= 6 and < 8 mm"
    assert scan["Fleischner Society"].inapplicable
    first, second = (by_name(n.outcomes) for n in assessment.nodules)
    assert (first["Lung-RADS"].result, second["Lung-RADS"].result) == ("3", "2")
    assert first["Brock"].probability is not None
    assert second["Brock"].missing == ("upper_lobe",)


def test_by_chance() -> None:
    assessment = assess([nodule(1, 7.2)], BY_CHANCE)
    scan = by_name(assessment.scan)
    assert scan["Lung-RADS"].inapplicable
    assert scan["Fleischner Society"].result == "CT at 6-12 months, then consider CT at 18-24 months"
    assert "Lung-RADS" not in by_name(assessment.nodules[0].outcomes)


def test_nothing_is_guessed_of_a_patient_nobody_knows() -> None:
    assessment = assess([nodule(1, 7.2)], PatientFacts())
    assert all(o.result is None and o.missing for o in (*assessment.scan, *assessment.nodules[0].outcomes))
    assert "setting" in assessment.not_given


@pytest.mark.parametrize(
    ("prior_ct", "missing", "inapplicable"), [(None, ("prior_ct",), False), (True, (), True), (False, (), False)]
)
def test_baseline_is_not_assumed(prior_ct: bool | None, missing: tuple[str, ...], inapplicable: bool) -> None:
    outcome = by_name(assess([nodule(1, 7.2)], replace(SCREENED, prior_ct=prior_ct)).scan)["Lung-RADS"]
    assert outcome.missing == missing
    assert bool(outcome.inapplicable) == inapplicable
    assert (outcome.result is None) == (prior_ct is not False)


@pytest.mark.parametrize(
    ("before", "months", "result"),
    [
        (measures(6.0), 6.0, "3"),  # 7.2 mm, stable
        (measures(5.6), 6.0, "4A"),  # up by 1.6 mm
        (None, 6.0, "4A"),  # new
        (measures(5.6), 24.0, None),
    ],
)
def test_the_prior_scan_feeds_growth(before, months: float, result: str | None) -> None:
    prior = Prior(months, {1: before})
    assert by_name(assess([nodule(1, 7.2)], SCREENED, prior).scan)["Lung-RADS"].result == result


def test_a_nodule_that_the_prior_scan_cannot_show_is_not_new() -> None:
    outcome = by_name(assess([nodule(1, 7.2)], SCREENED, Prior(6.0, {})).scan)["Lung-RADS"]
    assert outcome.result is None
    assert outcome.inapplicable


def test_fleischner_growth_is_two_whole_millimetres() -> None:
    for before, grew in ((6.0, False), (5.4, True)):
        (_, outcome) = assess([nodule(1, 7.2)], BY_CHANCE, Prior(6.0, {1: measures(before)})).scan
        assert any("grew" in r for r in outcome.remarks) == grew


def test_a_reader_s_kind_comes_before_the_measured_one() -> None:
    patient = replace(SCREENED, nodules={1: NoduleFacts(kind=Kind.ground_glass)})
    (row,) = assess([nodule(1, 12.0)], patient).nodules
    assert (row.kind, row.kind_basis) == (Kind.ground_glass, "as the reader says")
    assert by_name(row.outcomes)["Lung-RADS"].result == "2"
    (row,) = assess([nodule(1, 12.0)], SCREENED).nodules
    assert row.kind is Kind.solid
    assert "estimated: solid from -300 HU" in row.kind_basis


def test_a_part_solid_nodule_with_nothing_solid_in_it() -> None:
    patient = replace(SCREENED, nodules={1: NoduleFacts(kind=Kind.part_solid)})
    assert by_name(assess([nodule(1, 12.0)], patient).scan)["Lung-RADS"].inapplicable


def test_part_solid_by_its_solid_part() -> None:
    (row,) = assess([nodule(1, 12.0, Kind.part_solid, 6.1)], SCREENED).nodules
    assert row.solid_mean_mm == 6.1
    assert by_name(row.outcomes)["Lung-RADS"].result == "4A"


def test_benign_nodules_are_not_followed() -> None:
    patient = replace(BY_CHANCE, nodules={1: NoduleFacts(benign=True)})
    outcome = by_name(assess([nodule(1, 12.0)], patient).scan)["Fleischner Society"]
    assert outcome.result is None


def test_a_scan_without_nodules() -> None:
    assert by_name(assess([], SCREENED).scan)["Lung-RADS"].result == "1"
