"""The report as JSON: the contract `lungscan-report/1`, held by report.schema.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lungscan.findings import CandidateCounts, InputFacts, LungFacts, Nodule, OperatingFacts, Patient, Report, UsedSettings

if TYPE_CHECKING:
    from lungscan.clinical.assess import Assessment
    from lungscan.comparison.compare import Comparison

SCHEMA = "lungscan-report/1"

_PLACE = 3  # decimals: micrometres, and thousandths of a voxel, mm3 or second
_SHARE = 6  # probabilities
_UNIT = 9  # direction cosines: a micrometre over a metre


def to_json(
    report: Report,
    *,
    all_candidates: bool = False,
    assessment: Assessment | None = None,
    comparison: Comparison | None = None,
    identity: Mapping[str, str] | None = None,
) -> str:
    """The report as ASCII JSON text. The same report gives the same bytes."""
    plain = to_dict(report, all_candidates=all_candidates, assessment=assessment, comparison=comparison, identity=identity)
    return json.dumps(plain, indent=2, allow_nan=False)


def to_dict(
    report: Report,
    *,
    all_candidates: bool = False,
    assessment: Assessment | None = None,
    comparison: Comparison | None = None,
    identity: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report as plain dicts, lists, numbers and strings, rounded; `candidates.all` only when asked for, `guidelines`,
    `prior` and `identity` only where there are some."""
    out = {
        "schema": SCHEMA,
        "version": report.version,
        "created": report.created,
        "input": _input(report.input),
        "lungs": _lungs(report.lungs),
        "settings": _settings(report.settings),
        "nodules": [_nodule(n) for n in report.nodules],
        "candidates": _candidates(report.candidates, all_candidates),
        "patient": _patient(report.patient),
        "warnings": [{"code": w.code, "message": w.message} for w in report.warnings],
        "timing_s": {stage: _rounded(s, _PLACE) for stage, s in report.timing_s.items()},
    }
    if assessment is not None:
        out["guidelines"] = asdict(assessment)
    if comparison is not None:
        from lungscan.comparison.document import to_dict as compared

        out["prior"] = compared(comparison)
    if identity is not None:
        out["identity"] = dict(identity)
    return out


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the report."""
    text = files("lungscan.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def _input(facts: InputFacts) -> dict[str, Any]:
    return {
        "path": facts.path,
        "format": facts.format,
        "series_uid": facts.series_uid,
        "shape_irc": list(facts.shape_irc),
        "spacing_irc_mm": _list(facts.spacing_irc_mm, _SHARE),
        "origin_xyz_mm": _list(facts.origin_xyz_mm, _SHARE),
        "direction": [_list(row, _UNIT) for row in facts.direction],
        "sha256": facts.sha256,
        "skipped_series": list(facts.skipped_series),
        "facts": dict(facts.facts),
    }


def _lungs(lungs: LungFacts | None) -> dict[str, Any] | None:
    if lungs is None:
        return None
    return {"volume_ml": _rounded(lungs.volume_ml, _PLACE), "box_irc": [list(span) for span in lungs.box_irc]}


def _settings(used: UsedSettings) -> dict[str, Any]:
    thresholds = used.thresholds
    return {
        "weights": {"name": used.weights.name, "sha256": used.weights.sha256},
        "engine": used.engine,
        "precision": used.precision,
        "device": used.device,
        "thresholds": {
            "segmentation": thresholds.segmentation,
            "nodule": thresholds.nodule,
            "malignancy": thresholds.malignancy,
        },
        "rule": used.rule,
        "lung_gate": used.lung_gate,
        "operating_point": _operating(used.operating_point),
        "versions": dict(used.versions),
    }


def _operating(point: OperatingFacts | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "asked_fp_per_scan": point.asked_fp_per_scan,
        "fp_per_scan": _rounded(point.fp_per_scan, _SHARE),
        "sensitivity": _rounded(point.sensitivity, _SHARE),
    }


def _nodule(n: Nodule) -> dict[str, Any]:
    return {
        "id": n.id,
        "centre_irc": _list(n.centre_irc, _PLACE),
        "centre_xyz_mm": _list(n.centre_xyz_mm, _PLACE),
        "slice": n.slice,
        "diameter_mm": _rounded(n.diameter_mm, _PLACE),
        "volume_mm3": _rounded(n.volume_mm3, _PLACE),
        "box_irc": [list(span) for span in n.box_irc],
        "hu_mean": _rounded(n.hu_mean, _PLACE),
        "hu_max": n.hu_max,
        "p_segmentation": _rounded(n.p_segmentation, _SHARE),
        "p_nodule": _rounded(n.p_nodule, _SHARE),
        "p_malignant": _optional(n.p_malignant),
        "suspicious": n.suspicious,
    }


def _candidates(counts: CandidateCounts, all_candidates: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"total": counts.total, "kept": counts.kept}
    if all_candidates:
        out["all"] = [_nodule(n) for n in counts.all]
    return out


def _patient(patient: Patient) -> dict[str, Any]:
    return {
        "suspicious": patient.suspicious,
        "p_malignant_max": _optional(patient.p_malignant_max),
        "rule": patient.rule,
    }


def _rounded(value: float, decimals: int) -> float:
    return round(float(value), decimals) + 0.0  # no minus zero


def _optional(p: float | None) -> float | None:
    return None if p is None else _rounded(p, _SHARE)


def _list(values: Iterable[float], decimals: int) -> list[float]:
    return [_rounded(v, decimals) for v in values]
