"""The nodules as a table, one row each: LUNA16's columns of a submission first, then what else was measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from lungscan.files import write_text
from lungscan.findings import Nodule, Report
from lungscan.report.text import harmless
from lungscan.stages.outline import Examined

LUNA16 = ("seriesuid", "coordX", "coordY", "coordZ", "probability")
"""The columns of LUNA16's submissions: patient mm in LPS, and P(nodule)."""

_COLUMNS: dict[str, Callable[[Nodule], str]] = {
    "coordX": lambda n: _number(n.centre_xyz_mm[0], 3),
    "coordY": lambda n: _number(n.centre_xyz_mm[1], 3),
    "coordZ": lambda n: _number(n.centre_xyz_mm[2], 3),
    "probability": lambda n: _number(n.p_nodule, 6),
    "id": lambda n: str(n.id),
    "diameter_mm": lambda n: _number(n.diameter_mm, 3),
    "volume_mm3": lambda n: _number(n.volume_mm3, 3),
    "p_malignant": lambda n: "" if n.p_malignant is None else _number(n.p_malignant, 6),
    "suspicious": lambda n: {True: "yes", False: "no", None: ""}[n.suspicious],
    "slice": lambda n: str(n.slice),
    "hu_mean": lambda n: _number(n.hu_mean, 3),
    "hu_max": lambda n: str(n.hu_max),
    "p_segmentation": lambda n: _number(n.p_segmentation, 6),
}


def write_csv(examined: Examined, folder: Path) -> list[Path]:
    """`nodules.csv`."""
    path = folder / "nodules.csv"
    write_text(path, to_csv(examined.report))
    return [path]


def to_csv(report: Report) -> str:
    """A heading and one line a nodule. An empty cell: malignancy was not assessed."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["seriesuid", *_COLUMNS])
    for nodule in report.nodules:
        table.writerow([inert(report.input.series_uid), *(column(nodule) for column in _COLUMNS.values())])
    return out.getvalue()


def inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula: OWASP's rule, an apostrophe before =, +, - and @, full-width too."""
    text = harmless(text)
    return f"'{text}" if text.lstrip().startswith(tuple("=+-@＝＋－＠")) else text


def _number(value: float, decimals: int) -> str:
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"  # no minus zero
