"""The report as one page for a browser, a phone or paper: no scripts, nothing fetched, every picture inside.

The page is a list of sections. Each is a template in `page/` and the facts that fill it; `to_html` takes any such list, so a
further section is one template and one function. What a template prints goes through `harmless`, then is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from lungscan.files import write_text
from lungscan.findings import Nodule
from lungscan.report.overview import Pictured, overview_panels
from lungscan.report.pictures import colour_of, nodule_panels
from lungscan.report.text import harmless
from lungscan.report.words import LONGEST, NOTICE, figures, position, said, several, verdict
from lungscan.stages.outline import nodule_masks

PICTURES_BYTES = 1_900_000
"""Room for the pictures of nodules: base64 makes it 2.5 MB, so that the page stays under 3 MB."""

_QUALITY = 85
_SIDE = 360  # pixels of a panel
_LETTERS = 25  # pixels: legible where a phone shows a panel half as wide


@dataclass(frozen=True)
class Section:
    """A part of the page; left out where its facts are None.

    template : a file in `page/`
    facts    : what the template may name, made from the scan
    """

    template: str
    facts: Callable[[Pictured], dict[str, Any] | None]


def write_html(examined: Pictured, folder: Path) -> list[Path]:
    """`report.html`. But for the date and the seconds of its stages, the same scan and settings give the same bytes."""
    path = folder / "report.html"
    write_text(path, to_html(examined))
    return [path]


def to_html(examined: Pictured, sections: Sequence[Section] | None = None) -> str:
    """The page; SECTIONS in their order unless others are given."""
    pages = Environment(
        loader=PackageLoader("lungscan.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = []
    for section in SECTIONS if sections is None else sections:
        facts = section.facts(examined)
        if facts is not None:
            parts.append(Markup(pages.get_template(section.template).render(facts)))
    return pages.get_template("page.html.j2").render(report=examined.report, parts=parts)


@dataclass(frozen=True)
class Embedded:
    """A picture as a data URL; `size` is that of its file in bytes."""

    name: str
    caption: str
    data: Markup
    width: int
    height: int
    size: int

    @classmethod
    def of(cls, name: str, caption: str, image: Image.Image) -> Embedded:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=_QUALITY, optimize=True)
        data = base64.b64encode(out.getvalue()).decode()
        return cls(name, caption, Markup(f"data:image/jpeg;base64,{data}"), *image.size, len(out.getvalue()))


def _inert(value: object) -> object:
    """What a template prints, without control and direction characters; markup of our own stays."""
    return harmless(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _finding(examined: Pictured) -> dict[str, Any]:
    report, nodules = examined.report, examined.report.nodules
    rule = report.patient.rule
    return {
        "patient": report.patient,
        "verdict": verdict(report.patient),
        "rule": f"{rule[:1].upper()}{rule[1:].rstrip('.')}.",
        "notice": NOTICE,
        "warnings": report.warnings,
        "count": several(len(nodules), "nodule"),
        "suspicious": sum(n.suspicious is True for n in nodules),
        "largest": max(nodules, key=lambda n: n.diameter_mm, default=None),
    }


def _nodules(examined: Pictured) -> dict[str, Any]:
    report = examined.report
    return {
        "nodules": report.nodules,
        "position": position,
        "candidates": several(report.candidates.total, "candidate"),
        "total": report.candidates.total,
        "threshold": report.settings.thresholds.nodule,
    }


def _overview(examined: Pictured) -> dict[str, Any]:
    views = [Embedded.of(o.view, o.caption, o.image) for o in overview_panels(examined, colour_of)]
    return {"views": views, "in_lungs": examined.lungs is not None}


@dataclass(frozen=True)
class Shown:
    """A nodule with its pictures."""

    nodule: Nodule
    figures: tuple[str, ...]
    panels: tuple[Embedded, ...]


def _pictures(examined: Pictured) -> dict[str, Any] | None:
    """The pictures of as many nodules as there is room for, in the report's order."""
    nodules, shown, room = examined.report.nodules, [], PICTURES_BYTES
    for nodule, mask in zip(nodules, nodule_masks(examined), strict=True):
        panels = tuple(
            Embedded.of(p.name, p.caption, p.image) for p in nodule_panels(examined, nodule, mask, _SIDE, _LETTERS)
        )
        room -= sum(panel.size for panel in panels)
        if room < 0:
            break
        shown.append(Shown(nodule, tuple(figures(nodule)), panels))
    return {"shown": shown, "more": len(nodules) - len(shown)} if nodules else None


def _guidelines(examined: Pictured) -> dict[str, Any] | None:
    said_by = examined.assessment
    return None if said_by is None else {field.name: getattr(said_by, field.name) for field in fields(said_by)}


def _prior(examined: Pictured) -> dict[str, Any] | None:
    found = examined.comparison
    if found is None:
        return None
    days = "Time between the scans not known" if found.days is None else f"{found.days:.0f} days between the scans"
    return {"days": days, "alignment": found.alignment, "changes": found.changes, "warnings": found.warnings}


def _warnings(examined: Pictured) -> dict[str, Any] | None:
    return {"warnings": examined.report.warnings} if examined.report.warnings else None


def _making(examined: Pictured) -> dict[str, Any]:
    """The settings, weights and geometry. Of the path only the file's name: folders may be named after people."""
    report = examined.report
    named = replace(report, input=replace(report.input, path=PurePath(report.input.path).name))
    facts = [(name, value) for name, value in said(named) if name != "Seconds"]
    return {"facts": facts, "voxels": report.input.sha256, "weights": report.settings.weights.sha256}


STAGES = {
    "load": "the networks into the engine",
    "read": "files to Hounsfield units with their geometry",
    "normalise": "the networks' grid, and where the lungs are",
    "segment": "a probability for every voxel",
    "group": "voxels that hang together become candidates",
    "classify": "which candidates are nodules, which of these malignant",
    "diagnose": "the rule for the patient",
    "report": "the facts put together",
}
"""What each stage does, in the order of a scan."""


def _stages(examined: Pictured) -> dict[str, Any]:
    seconds = examined.report.timing_s
    total = seconds["total"]
    rows = [
        (stage, task, seconds[stage], 100 * seconds[stage] / total) for stage, task in STAGES.items() if stage in seconds
    ]
    return {"rows": rows, "total": total}


SECTIONS = (
    Section("finding.html.j2", _finding),
    Section("nodules.html.j2", _nodules),
    Section("guidelines.html.j2", _guidelines),
    Section("prior.html.j2", _prior),
    Section("overview.html.j2", _overview),
    Section("pictures.html.j2", _pictures),
    Section("warnings.html.j2", _warnings),
    Section("making.html.j2", _making),
    Section("stages.html.j2", _stages),
)
"""The page from top to bottom: the patient's result first."""
