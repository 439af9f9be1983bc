"""The report as a notebook shows it: the result, a table of nodules, the warnings. No scripts, no styles, all escaped."""

from __future__ import annotations

from pathlib import PurePath

from markupsafe import Markup

from lungscan.findings import Nodule, Report
from lungscan.report.text import harmless
from lungscan.report.words import LONGEST, NOTICE, position, several, verdict

MOST_ROWS = 20
"""Nodules that are shown; the others are counted."""

_HEADS = ("nodule", "slice", "position, mm", "diameter, mm", "P(nodule)", "P(malignant)", "")


def to_fragment(report: Report) -> str:
    """A piece of HTML, a few kilobytes long; everything that comes from a file is escaped.

    Of the path only the file's name is shown: folders may be named after people.
    """
    nodules, used = report.nodules, report.settings
    name = harmless(PurePath(report.input.path).name)
    title = Markup("<p><strong>{}</strong>: {} in {}</p>").format(
        verdict(report.patient).capitalize(), several(len(nodules), "nodule"), name
    )
    more = len(nodules) - MOST_ROWS
    parts = [
        title,
        _table(nodules[:MOST_ROWS]) if nodules else Markup(),
        Markup("<p>and {} more</p>").format(more) if more > 0 else Markup(),
        *(Markup("<p>Warning: {}</p>").format(harmless(notice.message, LONGEST)) for notice in report.warnings),
        Markup("<p><small>{}, {} {}, {}. {}</small></p>").format(
            harmless(used.weights.name), harmless(used.engine), used.precision, used.device, NOTICE
        ),
    ]
    return str(Markup("<div>{}</div>").format(Markup().join(parts)))


def _table(nodules: tuple[Nodule, ...]) -> Markup:
    head = Markup().join(Markup("<th>{}</th>").format(name) for name in _HEADS)
    rows = Markup().join(_row(nodule) for nodule in nodules)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows)


def _row(n: Nodule) -> Markup:
    malignant = "" if n.p_malignant is None else f"{n.p_malignant:.3f}"
    figures = (f"{n.diameter_mm:.1f}", f"{n.p_nodule:.3f}", malignant, "suspicious" if n.suspicious else "")
    cells = (n.id, n.slice, position(n.centre_xyz_mm), *figures)
    return Markup("<tr>{}</tr>").format(Markup().join(Markup("<td>{}</td>").format(cell) for cell in cells))
