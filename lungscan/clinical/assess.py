"""Measured nodules and a patient's facts → what the guidelines say: Lung-RADS for screening, Fleischner for chance findings,
and Brock for each nodule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lungscan.clinical import fleischner, lung_rads
from lungscan.clinical.brock import brock
from lungscan.clinical.history import History, Prior, history
from lungscan.clinical.lung_rads_sizes import Status
from lungscan.clinical.measure import MeasuredNodule, NoduleMeasures
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import PatientFacts, Setting
from lungscan.clinical.rounding import mean_tenths, mean_whole_mm


@dataclass(frozen=True)
class NoduleAssessment:
    """What the guidelines say of one nodule, and what they were told of it.

    kind_basis    : how the kind is known, to be printed beside it
    mean_mm       : rounded as Lung-RADS does
    solid_mean_mm : the same of the solid part, for a part-solid nodule
    """

    id: int
    kind: Kind
    kind_basis: str
    mean_mm: float
    solid_mean_mm: float | None
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Assessment:
    """What the guidelines say of the scan as a whole and of each nodule. `not_given` names the facts that nobody gave."""

    scan: tuple[Outcome, ...]
    nodules: tuple[NoduleAssessment, ...]
    not_given: tuple[str, ...]


def assess(nodules: Sequence[MeasuredNodule], patient: PatientFacts, prior: Prior | None = None) -> Assessment:
    """What Lung-RADS v2022 (screening), Fleischner 2017 (incidental) and Brock say of these nodules.

    A guideline that does not apply says why; one that needs a fact which is not given names it.
    """
    rads = [_lung_rads(n, patient, prior) for n in nodules]
    rows = []
    for nodule, outcome in zip(nodules, rads, strict=True):
        kind, axes = _kind(nodule, patient), nodule.measures.axes
        chance = brock(patient, patient.nodule(nodule.id), kind, axes.long_mm, len(nodules))
        of_screening = () if patient.setting is Setting.incidental else (outcome,)
        solid = _solid_tenths(nodule.measures) if kind is Kind.part_solid else None
        rows.append(
            NoduleAssessment(
                id=nodule.id,
                kind=kind,
                kind_basis=_basis(nodule, patient),
                mean_mm=mean_tenths(axes.long_mm, axes.short_mm) / 10,
                solid_mean_mm=None if solid is None else solid / 10,
                outcomes=(*of_screening, chance),
            )
        )
    exam = _exam([(n.id, outcome) for n, outcome in zip(nodules, rads, strict=True)], patient)
    return Assessment((exam, *_fleischner(nodules, patient, prior)), tuple(rows), patient.not_given())


def _exam(nodules: list[tuple[int, Outcome]], patient: PatientFacts) -> Outcome:
    return _out_of_scope(patient) or lung_rads.exam_category(nodules, patient)


def _out_of_scope(patient: PatientFacts) -> Outcome | None:
    name, version = lung_rads.NAME, lung_rads.VERSION
    if patient.setting is None:
        return Outcome(name, version, None, missing=("setting",))
    if patient.setting is Setting.incidental:
        return Outcome(name, version, None, inapplicable="it is for screening, not for nodules found by chance")
    return None


def _lung_rads(nodule: MeasuredNodule, patient: PatientFacts, prior: Prior | None) -> Outcome:
    if (refused := _out_of_scope(patient)) is not None:
        return refused
    kind, measures = _kind(nodule, patient), nodule.measures
    past = _past(nodule, kind, patient, prior)
    solid = _solid_tenths(measures)
    if kind is Kind.part_solid and solid is None:
        why = "it is called part-solid, but nothing in it is solid"
        return Outcome(lung_rads.NAME, lung_rads.VERSION, None, inapplicable=why)
    mean = mean_tenths(measures.axes.long_mm, measures.axes.short_mm)
    months = None if prior is None else prior.months
    return lung_rads.nodule_category(kind, mean, solid, past, patient.nodule(nodule.id), patient, months)


def _past(nodule: MeasuredNodule, kind: Kind, patient: PatientFacts, prior: Prior | None) -> History:
    if prior is not None and nodule.id not in prior.before:
        return History(None, inapplicable="it lies where the earlier scan does not reach")
    if prior is not None:
        return history(nodule.measures, prior.before[nodule.id], kind, prior.months)
    if patient.prior_ct is None:
        return History(None, missing=("prior_ct",))
    if patient.prior_ct:
        return History(None, inapplicable="there is an earlier CT (prior_ct), but it was not given to compare with")
    return History(Status.baseline)


def _fleischner(nodules: Sequence[MeasuredNodule], patient: PatientFacts, prior: Prior | None) -> list[Outcome]:
    if (refused := fleischner.refusal(patient)) is not None:
        return [refused]
    benign = [n for n in nodules if patient.nodule(n.id).benign]
    sized = [_sized(n, patient, prior) for n in nodules if n not in benign]
    slice_mm = max((n.measures.spacing_irc_mm[0] for n in nodules), default=0.0)
    return fleischner.recommend(sized, patient.risk, slice_mm)


def _sized(nodule: MeasuredNodule, patient: PatientFacts, prior: Prior | None) -> fleischner.Sized:
    measures = nodule.measures
    mean = mean_whole_mm(measures.axes.long_mm, measures.axes.short_mm)
    solid = None if measures.solid is None else mean_whole_mm(measures.solid.long_mm, measures.solid.short_mm)
    before = None if prior is None else prior.before.get(nodule.id)
    grew = before is not None and mean - mean_whole_mm(before.axes.long_mm, before.axes.short_mm) >= fleischner.GROWTH_MM
    return fleischner.Sized(nodule.id, _kind(nodule, patient), mean, measures.volume_mm3, solid, grew)


def _kind(nodule: MeasuredNodule, patient: PatientFacts) -> Kind:
    return patient.nodule(nodule.id).kind or nodule.measures.kind


def _basis(nodule: MeasuredNodule, patient: PatientFacts) -> str:
    cutoffs = nodule.measures.cutoffs
    if patient.nodule(nodule.id).kind is not None:
        return "as the reader says"
    return f"estimated: solid from {cutoffs.solid_hu} HU, calcified from {cutoffs.calcified_hu} HU, no settled cut-offs"


def _solid_tenths(measures: NoduleMeasures) -> int | None:
    return None if measures.solid is None else mean_tenths(measures.solid.long_mm, measures.solid.short_mm)
