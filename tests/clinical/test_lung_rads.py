"""ACR Lung-RADS v2022 beyond the size table: described findings, step-down, added features, the scan as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lungscan.clinical.history import History
from lungscan.clinical.lung_rads import MANAGEMENT, exam_category, nodule_category
from lungscan.clinical.lung_rads_sizes import Status
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import Airway, Cyst, Incomplete, NoduleFacts, PatientFacts

BASE, NEW, STABLE, GROW, SLOW = Status


def category(
    facts: NoduleFacts,
    status: Status = BASE,
    mean: int = 70,
    kind: Kind = Kind.solid,
    months: float | None = None,
    patient: PatientFacts | None = None,
    solid: int | None = None,
) -> Outcome:
    return nodule_category(kind, mean, solid, History(status), facts, patient or PatientFacts(), months)


@pytest.mark.parametrize(
    ("facts", "status", "expected"),
    [
        (NoduleFacts(benign=True), BASE, "1"),
        (NoduleFacts(benign=True), GROW, "1"),
        (NoduleFacts(proven_benign=True), STABLE, "2"),
        (NoduleFacts(airway=Airway.subsegmental), BASE, "2"),
        (NoduleFacts(airway=Airway.subsegmental), NEW, "2"),
        (NoduleFacts(airway=Airway.subsegmental), STABLE, "2"),
        (NoduleFacts(airway=Airway.subsegmental), GROW, None),
        (NoduleFacts(airway=Airway.segmental), BASE, "4A"),
        (NoduleFacts(airway=Airway.segmental), STABLE, "4B"),
        (NoduleFacts(airway=Airway.segmental), GROW, "4B"),
        (NoduleFacts(airway=Airway.segmental), NEW, None),
        (NoduleFacts(airway=Airway.secretions), BASE, "2"),
        (NoduleFacts(airway=Airway.tubular), BASE, "0 or 2"),
        (NoduleFacts(cyst=Cyst.cavity_grows), GROW, "3"),
        (NoduleFacts(cyst=Cyst.thick_walled), BASE, "4A"),
        (NoduleFacts(cyst=Cyst.multilocular), BASE, "4A"),
        (NoduleFacts(cyst=Cyst.turned_multilocular), GROW, "4A"),
        (NoduleFacts(cyst=Cyst.wall_grows), GROW, "4B"),
        (NoduleFacts(cyst=Cyst.multilocular_grows), GROW, "4B"),
        (NoduleFacts(cyst=Cyst.thin_walled), BASE, None),
        (NoduleFacts(cyst=Cyst.fluid_filled), BASE, None),
        (NoduleFacts(cyst=Cyst.many), BASE, None),
    ],
)
def test_described_findings(facts: NoduleFacts, status: Status, expected: str | None) -> None:
    outcome = category(facts, status)
    assert outcome.result == expected
    assert (outcome.inapplicable is None) == (expected is not None)


@pytest.mark.parametrize(
    ("status", "mean", "expected"),
    [
        *((BASE, 60, "2"), (BASE, 99, "2"), (BASE, 100, "4A"), (BASE, 101, "4A")),
        *((NEW, 99, "2"), (NEW, 100, "4B"), (STABLE, 99, "2"), (GROW, 79, "4A"), (GROW, 99, "4B")),
    ],
)
def test_juxtapleural(status: Status, mean: int, expected: str) -> None:
    assert category(NoduleFacts(juxtapleural=True), status, mean).result == expected


def test_juxtapleural_is_for_solid_nodules() -> None:
    outcome = category(NoduleFacts(juxtapleural=True), BASE, 70, Kind.part_solid, solid=60)
    assert outcome.result == "4A"


@pytest.mark.parametrize(
    ("previous", "months", "mean", "expected"),
    [
        ("3", 6.0, 70, "2"),
        ("3", 5.6, 70, "2"),  # 6 months, rounded
        ("3", 5.4, 70, "3"),
        ("3", None, 70, "3"),
        ("4A", 3.0, 90, "3"),
        ("4A", 2.4, 90, "4A"),
        ("4A", 12.0, 90, "3"),
        ("4B", 3.0, 70, "4B"),
        ("4B", 24.0, 160, "4B"),
        ("2", 12.0, 70, "3"),
        (None, 12.0, 70, "3"),
    ],
)
def test_step_down(previous: str | None, months: float | None, mean: int, expected: str) -> None:
    assert category(NoduleFacts(previous_category=previous), STABLE, mean, months=months).result == expected


def test_step_down_is_not_for_airways_and_what_grows() -> None:
    assert category(NoduleFacts(previous_category="4A", airway=Airway.segmental), STABLE, months=3).result == "4B"
    assert category(NoduleFacts(previous_category="3"), GROW, 70, months=6).result == "4A"


def test_a_step_down_that_was_not_looked_at_is_told() -> None:
    (remark,) = category(NoduleFacts(), STABLE, 70, months=6).remarks
    assert "previous_category" in remark


@pytest.mark.parametrize(
    ("facts", "patient"),
    [
        (NoduleFacts(spiculated=True), PatientFacts()),
        (NoduleFacts(doubled_within_year=True), PatientFacts()),
        (NoduleFacts(), PatientFacts(lymphadenopathy=True)),
        (NoduleFacts(), PatientFacts(metastasis=True)),
    ],
)
@pytest.mark.parametrize(("mean", "expected"), [(59, "2"), (60, "4X"), (80, "4X"), (150, "4X")])
def test_added_features_make_4x_of_3_and_4(facts: NoduleFacts, patient: PatientFacts, mean: int, expected: str) -> None:
    assert category(facts, BASE, mean, patient=patient).result == expected


def test_slow_growth() -> None:
    slowly = NoduleFacts(slowly_growing=True)
    assert category(slowly, STABLE, 50).result == "4B"
    assert category(slowly, STABLE, 50, Kind.part_solid, solid=20).result == "4B"
    assert category(slowly, STABLE, 350, Kind.ground_glass).result == "2"


def test_calcification_by_hu_is_left_to_a_reader() -> None:
    outcome = category(NoduleFacts(), BASE, 70, Kind.calcified)
    assert outcome.result == "3"
    assert "benign" in outcome.remarks[0]


def test_each_category_has_its_management() -> None:
    months = {"1": "12 months", "2": "12 months", "3": "6 months", "4A": "3 months"}
    for name, advice in months.items():
        assert advice in MANAGEMENT[name]
    for name in ("4B", "4X"):
        assert "tissue" in MANAGEMENT[name]


def said(result: str | None, missing: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        "Lung-RADS", "v2022", result, "why", missing=missing, inapplicable=None if result or missing else "no row"
    )


@pytest.mark.parametrize(
    ("results", "expected"),
    [(["2"], "2"), (["2", "3"], "3"), (["4A", "3", "1"], "4A"), (["4A", "4B"], "4B"), (["4B", "4X"], "4X"), ([], "1")],
)
def test_the_scan_is_as_its_most_suspicious_nodule(results: list[str], expected: str) -> None:
    rows = [(k, said(result)) for k, result in enumerate(results, start=1)]
    outcome = exam_category(rows, PatientFacts())
    assert outcome.result == expected
    if rows:
        assert outcome.because.startswith(f"nodule {1 + results.index(expected)}: ")
    assert exam_category(rows, PatientFacts(other_finding=True)).result == f"{expected}S"


@pytest.mark.parametrize("why", Incomplete)
def test_an_incomplete_scan_is_0(why: Incomplete) -> None:
    outcome = exam_category([(1, said("4B"))], PatientFacts(incomplete=why))
    assert outcome.result == "0"
    assert why in outcome.because
    assert outcome.advice


def test_a_nodule_without_category_leaves_the_scan_without() -> None:
    outcome = exam_category([(1, said("4A")), (2, said(None, ("months",)))], PatientFacts())
    assert (outcome.result, outcome.missing) == (None, ("months",))
    assert "at least 4A" in outcome.because
    no_row = exam_category([(1, said(None))], PatientFacts())
    assert no_row.result is None
    assert no_row.inapplicable


def test_growth_that_the_rule_leaves_open_gives_no_category() -> None:
    past = History(None, inapplicable="not decidable")
    outcome = nodule_category(Kind.solid, 70, None, past, NoduleFacts(), PatientFacts(), 14)
    assert (outcome.result, outcome.inapplicable) == (None, "not decidable")


def test_what_happened_is_told_beside_the_row() -> None:
    past = History(GROW, "mean diameter 6 -> 7.6 mm in 6 months, up by more than 1.5 mm")
    outcome = nodule_category(Kind.solid, 76, None, past, NoduleFacts(), PatientFacts(), 6)
    assert outcome == replace(outcome, result="4A", because=f"solid, growing, 7.6 mm < 8 mm ({past.because})")
