"""The JSON report holds to its contract: an independent validator and the contract's own list of keys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from lungscan.findings import CandidateCounts, OperatingFacts, Patient, Report
from lungscan.report.json import schema, to_dict, to_json
from lungscan.report.sample import sample_report

CONTRACT = {
    "": "schema version created input lungs settings nodules candidates patient warnings timing_s",
    "input": "path format series_uid shape_irc spacing_irc_mm origin_xyz_mm direction sha256 skipped_series",
    "lungs": "volume_ml box_irc",
    "settings": "weights engine precision device thresholds rule",
    "patient": "suspicious p_malignant_max rule",
}
NODULE = {
    *("id", "centre_irc", "centre_xyz_mm", "slice", "diameter_mm", "volume_mm3", "box_irc", "hu_mean", "hu_max"),
    *("p_nodule", "p_malignant", "suspicious"),
}


def without_nodules() -> Report:
    rule = "suspicious when a nodule has P(malignant) >= 0.5"
    none = CandidateCounts(total=0, kept=0, all=())
    return replace(sample_report(), nodules=(), candidates=none, patient=Patient(False, None, rule), warnings=())


def without_malignancy() -> Report:
    report = sample_report()
    nodules = tuple(replace(n, p_malignant=None, suspicious=None) for n in report.nodules)
    patient = Patient(None, None, "malignancy is not assessed: the weights hold no network for it")
    return replace(report, nodules=nodules, candidates=CandidateCounts(3, 3, nodules), patient=patient)


def without_lungs() -> Report:
    report = sample_report()
    return replace(report, lungs=None, settings=replace(report.settings, lung_gate=False))


def at_an_operating_point() -> Report:
    report = sample_report()
    return replace(report, settings=replace(report.settings, operating_point=OperatingFacts(1.0, 0.9375, 0.92)))


MADE = (sample_report, without_nodules, without_malignancy, without_lungs, at_an_operating_point)
REPORTS = {f.__name__: f() for f in MADE}
anything = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@anything
@pytest.mark.parametrize("all_candidates", [False, True])
def test_every_report_holds_to_the_schema(report: Report, all_candidates: bool) -> None:
    parsed = json.loads(to_json(report, all_candidates=all_candidates))
    jsonschema.Draft202012Validator(schema()).validate(parsed)
    assert ("all" in parsed["candidates"]) == all_candidates


def test_the_operating_point_is_told_where_there_is_one() -> None:
    told = [to_dict(report)["settings"]["operating_point"] for report in (sample_report(), at_an_operating_point())]
    assert told == [None, {"asked_fp_per_scan": 1.0, "fp_per_scan": 0.9375, "sensitivity": 0.92}]


@pytest.mark.parametrize("room", CONTRACT)
def test_the_contracts_keys_are_there_and_required(room: str) -> None:
    keys = set(CONTRACT[room].split())
    report, rules = to_dict(sample_report()), schema()
    if room:
        report, rules = report[room], rules["properties"][room]
        rules = rules.get("oneOf", [rules])[-1]
    assert keys <= report.keys()
    assert keys <= set(rules["required"])


@pytest.mark.parametrize("key", sorted(NODULE))
def test_the_schema_refuses_a_nodule_without(key: str) -> None:
    parsed = to_dict(sample_report())
    del parsed["nodules"][0][key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.Draft202012Validator(schema()).validate(parsed)


@pytest.mark.parametrize(("key", "wrong"), [("p_nodule", 1.2), ("diameter_mm", 0), ("box_irc", [[0, 1]]), ("slice", -1)])
def test_the_schema_refuses_what_cannot_be(key: str, wrong: object) -> None:
    parsed = to_dict(sample_report())
    parsed["nodules"][0][key] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(parsed)


def test_every_key_is_described() -> None:
    def undescribed(node: object, at: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        own = [f"{at}.{key}" for key, rule in node.get("properties", {}).items() if not rule.get("description")]
        return own + [name for key, inner in node.items() for name in undescribed(inner, f"{at}.{key}")]

    assert undescribed(schema(), "") == []
    lungs, point = (node["oneOf"][1] for node in (schema()["properties"]["lungs"], _operating_point()))
    assert undescribed({"lungs": lungs, "operating_point": point}, "") == []


def _operating_point() -> dict[str, Any]:
    node: dict[str, Any] = schema()["properties"]["settings"]["properties"]["operating_point"]
    return node


def test_numbers_are_rounded_and_zero_has_no_sign() -> None:
    report = sample_report()
    nodule = replace(report.nodules[0], centre_xyz_mm=(-0.0001, 1.23456, 2.0), p_nodule=0.12345678)
    parsed = to_dict(replace(report, nodules=(nodule,)))["nodules"][0]
    assert parsed["centre_xyz_mm"] == [0.0, 1.235, 2.0]
    assert str(parsed["centre_xyz_mm"][0]) == "0.0"
    assert parsed["p_nodule"] == 0.123457


def test_the_text_is_ascii_whatever_the_file_is_called() -> None:
    report = sample_report()
    path = "scan\udcff\x1b[2J\u202e.mhd"
    text = to_json(replace(report, input=replace(report.input, path=path)))
    assert text.isascii()
    assert json.loads(text)["input"]["path"] == path


def test_what_is_no_number_never_becomes_json() -> None:
    report = sample_report()
    nodule = replace(report.nodules[0], p_nodule=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(report, nodules=(nodule,)))
