"""All rows of a batch as files: two tables, LUNA16's submission, and a page to begin reading from. None holds a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lungscan.batch.rows import FAILED, OK, REFUSED, Row
from lungscan.report.tables import LUNA16, inert
from lungscan.report.text import harmless
from lungscan.report.words import LONGEST, NOTICE, several

LISTED = 5000
"""So many scans fit a page that a browser opens at once; the tables hold all."""

Cell = str | int | float | bool | tuple[str, ...] | None

_COLUMNS: dict[str, Callable[[Row], Cell]] = {
    "name": lambda r: r.name,
    "status": lambda r: r.status,
    "suspicious": lambda r: r.suspicious,
    "p_malignant_max": lambda r: r.p_malignant_max,
    "nodules": lambda r: r.nodules,
    "largest_mm": lambda r: r.largest_mm,
    "lungs_ml": lambda r: r.lungs_ml,
    "slices": lambda r: r.slices,
    "series_uid": lambda r: r.series_uid,
    "path": lambda r: r.path,
    "sha256": lambda r: r.sha256,
    "warnings": lambda r: r.warnings,
    "reason": lambda r: r.reason,
}


def summary_csv(rows: Iterable[Row]) -> str:
    """A heading and one line a scan. Empty cells: not known. Text is made harmless to spreadsheets."""
    return _table(_COLUMNS, ([_cell(column(row)) for column in _COLUMNS.values()] for row in rows))


def summary_jsonl(rows: Iterable[Row]) -> str:
    """The same facts as JSON, one object a line."""
    return "".join(f"{line(row)}\n" for row in rows)


def line(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps({name: column(row) for name, column in _COLUMNS.items()}, allow_nan=False)


def predictions_csv(rows: Iterable[Row]) -> str:
    """LUNA16's columns, one line a mark: patient mm in LPS, and P(nodule)."""
    return _table(
        LUNA16,
        (
            [inert(row.series_uid), f"{m.x_mm:.3f}", f"{m.y_mm:.3f}", f"{m.z_mm:.3f}", f"{m.p_nodule:.6f}"]
            for row in rows
            for m in row.marks
        ),
    )


def index_html(rows: Sequence[Row]) -> str:
    """The most likely malignant first, then what was refused or failed. No scripts, nothing fetched."""
    pages = Environment(
        loader=ChoiceLoader([PackageLoader("lungscan.batch", "page"), PackageLoader("lungscan.report", "page")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    done = sorted((row for row in rows if row.status == OK), key=lambda row: (-(row.p_malignant_max or 0.0), row.name))
    lost = [row for row in rows if row.status != OK]
    facts: dict[str, Any] = {
        "rows": done[:LISTED],
        "lost": lost[:LISTED],
        "more": len(done[LISTED:]) + len(lost[LISTED:]),
        "scans": several(len(rows), "scan"),
        "suspicious": sum(row.suspicious is True for row in rows),
        "refused": sum(row.status == REFUSED for row in rows),
        "failed": sum(row.status == FAILED for row in rows),
        "nodules": sum(row.nodules or 0 for row in rows),
        "notice": NOTICE,
        "link": lambda row: quote(row.name),
    }
    return pages.get_template("index.html.j2").render(facts)


FILES: dict[str, Callable[[Sequence[Row]], str]] = {
    "summary.csv": summary_csv,
    "summary.jsonl": summary_jsonl,
    "predictions.csv": predictions_csv,
    "index.html": index_html,
}
"""What is written about all scans, by the files' names."""


def _table(heading: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(heading)
    table.writerows(lines)
    return out.getvalue()


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value}"
    return "" if value is None else inert(value if isinstance(value, str) else " ".join(value))


def _inert(value: object) -> object:
    return harmless(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value
