"""Markups for 3D Slicer: what its published schema (markups 1.0.3) asks of a list of points, and where the points lie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np

from lungscan.report.markups import to_markups, write_markups
from lungscan.report.sample import sample_report
from tests.report.made import BALLS, made


def numbers(count: int, **limits: float) -> dict[str, object]:
    return {"type": "array", "items": {"type": "number", **limits}, "minItems": count, "maxItems": count}


POINT = {
    "type": "object",
    "required": ["id", "label", "position"],
    "properties": {
        "id": {"type": "string"},
        "label": {"type": "string"},
        "description": {"type": "string"},
        "position": numbers(3),
        "orientation": numbers(9),
        "selected": {"type": "boolean"},
        "locked": {"type": "boolean"},
        "visibility": {"type": "boolean"},
        "positionStatus": {"enum": ["undefined", "preview", "defined"]},
    },
    "additionalProperties": False,
}
MARKUP = {
    "type": "object",
    "required": ["type", "coordinateSystem", "controlPoints"],
    "properties": {
        "type": {"enum": ["Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI"]},
        "name": {"type": "string"},
        "coordinateSystem": {"enum": ["LPS", "RAS"]},
        "coordinateUnits": {"enum": ["mm", "um"]},
        "locked": {"type": "boolean"},
        "labelFormat": {"type": "string"},
        "controlPoints": {"type": "array", "items": POINT},
        "display": {
            "type": "object",
            "properties": {
                "visibility": {"type": "boolean"},
                "color": numbers(3, minimum=0, maximum=1),
                "selectedColor": numbers(3, minimum=0, maximum=1),
                "pointLabelsVisibility": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
SLICER = {
    "type": "object",
    "required": ["@schema", "markups"],
    "properties": {
        "@schema": {"type": "string", "pattern": r"markups-schema-v1\.0\.3\.json#$"},
        "markups": {"type": "array", "items": MARKUP, "minItems": 1},
    },
}
"""The part of the schema that a list of points uses, with no property that it does not name."""


def test_it_is_what_slicer_reads(tmp_path: Path) -> None:
    (path,) = write_markups(made(), tmp_path)
    assert path.name == "nodules.mrk.json"
    jsonschema.Draft7Validator(SLICER).validate(json.loads(path.read_text()))


def test_points_lie_at_the_nodules_in_lps() -> None:
    (markup,) = to_markups(made("RAS").report)["markups"]
    assert (markup["coordinateSystem"], markup["coordinateUnits"]) == ("LPS", "mm")
    np.testing.assert_allclose([p["position"] for p in markup["controlPoints"]], [c for c, _ in BALLS], atol=1e-3)


def test_a_point_tells_its_figures_and_the_suspicious_is_selected() -> None:
    points = to_markups(sample_report())["markups"][0]["controlPoints"]
    assert [p["label"] for p in points] == ["nodule 1", "nodule 2", "nodule 3"]
    assert [p["selected"] for p in points] == [True, False, False]
    assert points[0]["description"] == ("diameter 21.8 mm, volume 5455 mm3, P(nodule) 0.999, P(malignant) 0.871, suspicious")


def test_without_nodules_the_list_is_empty() -> None:
    assert to_markups(replace(sample_report(), nodules=()))["markups"][0]["controlPoints"] == []
