"""ACR Lung-RADS v2022 (November 2022): the category of each nodule in a screening CT, and of the scan.

Christensen et al., JACR 21:473-488, 2024. The rows stand in `lung_rads_sizes` and `lung_rads_described`; here they meet
what the previous scan was called, the added features of 4X, and the scan as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lungscan.clinical.history import History, whole_months
from lungscan.clinical.lung_rads_described import described
from lungscan.clinical.lung_rads_sizes import Row, Status, by_size
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import CATEGORIES, Incomplete, NoduleFacts, PatientFacts

NAME, VERSION = "Lung-RADS", "v2022"

MANAGEMENT = {
    "0 or 2": "by the reader: LDCT in 1-3 months where infection is likely, else LDCT in 12 months",
    "1": "LDCT in 12 months",
    "2": "LDCT in 12 months",
    "3": "LDCT in 6 months",
    "4A": "LDCT in 3 months; PET/CT if a solid nodule or solid part is >= 8 mm",
    "4B": "diagnostic CT with or without contrast, PET/CT (>= 8 mm), tissue sampling, referral",
    "4X": "diagnostic CT with or without contrast, PET/CT (>= 8 mm), tissue sampling, referral",
}
INCOMPLETE = {
    Incomplete.prior_awaited: "compare with the prior CT",
    Incomplete.lung_not_seen: "repeat the LDCT",
    Incomplete.infection: "LDCT in 1-3 months",
}

STEP_DOWN = {"3": (6, "2"), "4A": (3, "3")}
"""Stable or smaller at follow-up: after so many months at least, this category."""


def nodule_category(
    kind: Kind, mean: int, solid: int | None, past: History, facts: NoduleFacts, patient: PatientFacts, months: float | None
) -> Outcome:
    """The category of one nodule by Lung-RADS v2022.

    mean, solid : mean diameter of the whole and of the solid part, in tenths of a millimetre
    past        : its status beside the earlier scan
    months      : between the scans, for the step-down at follow-up
    """
    if facts.slowly_growing and past.status is Status.stable:
        past = replace(past, status=Status.slowly_growing)
    if past.status is None:
        return Outcome(NAME, VERSION, None, past.because, missing=past.missing, inapplicable=past.inapplicable)
    row = described(facts, kind, mean, past.status)
    by_reader = row is not None
    row = row or by_size(kind, mean, solid, past.status)
    if row.category is None:
        return Outcome(NAME, VERSION, None, inapplicable=row.because)
    because = f"{row.because} ({past.because})" if past.because and not by_reader else row.because
    remarks = [row.remark] if row.remark else []
    if kind is Kind.calcified and not by_reader:
        remarks.append("calcified by its HU, taken as solid: benign patterns are for a reader to see ([nodules.N] benign)")
    row = replace(row, because=because)
    if past.status is Status.stable and not by_reader:
        row, more = _after(row, facts.previous_category, months)
        remarks += more
    row = _with_features(row, facts, patient)
    assert row.category is not None
    return Outcome(NAME, VERSION, row.category, row.because, MANAGEMENT[row.category], remarks=tuple(remarks))


def _after(row: Row, previous: str | None, months: float | None) -> tuple[Row, list[str]]:
    """A stable nodule after its previous category: 3 and 4A step down, 4B stays."""
    if previous is None:
        return row, ["no step-down was looked at: previous_category is not given"] if row.category != "2" else []
    if previous == "4B":
        return replace(row, category="4B", because=f"4B before and stable: {row.because}"), []
    if previous not in STEP_DOWN:
        return row, []
    needed, category = STEP_DOWN[previous]
    if months is None:
        return row, [f"no step-down from {previous}: months is not given"]
    whole = whole_months(months)
    if whole < needed:
        return row, [f"no step-down from {previous}: {whole} months are less than {needed}"]
    return replace(row, category=category, because=f"{previous} before, stable after {whole} months: {row.because}"), []


def _with_features(row: Row, facts: NoduleFacts, patient: PatientFacts) -> Row:
    """4X: a 3 or 4 with features that raise the suspicion."""
    features = {
        "spiculation": facts.spiculated,
        "ground glass doubled within a year": facts.doubled_within_year,
        "lymphadenopathy": patient.lymphadenopathy,
        "metastasis": patient.metastasis,
    }
    there = [name for name, is_there in features.items() if is_there]
    if not there or row.category not in ("3", "4A", "4B"):
        return row
    return replace(row, category="4X", because=f"{row.category} with {', '.join(there)}: {row.because}")


def exam_category(nodules: Iterable[tuple[int, Outcome]], patient: PatientFacts) -> Outcome:
    """The category of the scan: that of its most suspicious nodule, 1 without nodules, 0 where it cannot be read to its end.

    nodules : number and outcome of each
    """
    suffix = "S" if patient.other_finding else ""
    if patient.incomplete is not None:
        return Outcome(NAME, VERSION, f"0{suffix}", f"incomplete: {patient.incomplete}", INCOMPLETE[patient.incomplete])
    rows = list(nodules)
    if not rows:
        return Outcome(NAME, VERSION, f"1{suffix}", "no nodules were found", MANAGEMENT["1"])
    missing = tuple(dict.fromkeys(fact for _, outcome in rows for fact in outcome.missing))
    known = [(id_, outcome) for id_, outcome in rows if outcome.result in CATEGORIES]
    worst = max(known, key=lambda row: CATEGORIES.index(row[1].result or ""), default=None)
    unknown = [id_ for id_, outcome in rows if outcome.result not in CATEGORIES]
    if unknown:
        least = f"; at least {worst[1].result} (nodule {worst[0]})" if worst else ""
        ids = ", ".join(map(str, unknown))
        because = f"nodule {ids} cannot be categorised{least}"
        return Outcome(NAME, VERSION, None, because, missing=missing, inapplicable=None if missing else because)
    assert worst is not None
    id_, outcome = worst
    return replace(outcome, result=f"{outcome.result}{suffix}", because=f"nodule {id_}: {outcome.because}")
