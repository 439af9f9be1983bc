"""The nodules as points that 3D Slicer loads by drag and drop (`.mrk.json`, markups schema 1.0.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lungscan.files import write_text
from lungscan.findings import Nodule, Report
from lungscan.report.words import figures
from lungscan.stages.outline import Examined

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_AMBER, _BLUE = (1.0, 0.69, 0.0), (0.3, 0.79, 0.94)
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def write_markups(examined: Examined, folder: Path) -> list[Path]:
    """`nodules.mrk.json`."""
    path = folder / "nodules.mrk.json"
    write_text(path, json.dumps(to_markups(examined.report), indent=2, allow_nan=False) + "\n")
    return [path]


def to_markups(report: Report) -> dict[str, Any]:
    """One list of points in LPS millimetres; suspicious ones are selected, which Slicer shows in a colour of its own."""
    points = {
        "type": "Fiducial",
        "name": "lungscan nodules",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "labelFormat": "nodule %d",
        "controlPoints": [_point(nodule) for nodule in report.nodules],
        "display": {"visibility": True, "color": _BLUE, "selectedColor": _AMBER, "pointLabelsVisibility": True},
    }
    return {"@schema": SCHEMA, "markups": [points]}


def _point(nodule: Nodule) -> dict[str, Any]:
    return {
        "id": str(nodule.id),
        "label": f"nodule {nodule.id}",
        "description": ", ".join(figures(nodule)),
        "position": [round(mm, 3) + 0.0 for mm in nodule.centre_xyz_mm],
        "orientation": _IDENTITY,
        "selected": nodule.suspicious is True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }
