"""The facts of a report in words, the same in every form. Text from files has gone through `harmless`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lungscan.findings import InputFacts, Nodule, Patient, Report
from lungscan.report.text import harmless
from lungscan.volume import Triple

LONGEST = 1000
"""Characters of a sentence; names and values are cut at their own, shorter length."""

NOTICE = (
    "Research software. Not a medical device; no FDA clearance, no CE mark. Not for diagnosis or treatment decisions. "
    "A radiologist must read the images."
)


def verdict(patient: Patient) -> str:
    """The result in two words."""
    if patient.suspicious is None:
        return "malignancy not assessed"
    return "suspicious" if patient.suspicious else "not suspicious"


def figures(nodule: Nodule) -> Iterator[str]:
    """The nodule's figures, one by one; the diameter is that of the sphere of its volume."""
    yield f"diameter {nodule.diameter_mm:.1f} mm"
    yield f"volume {nodule.volume_mm3:.0f} mm3"
    yield f"P(nodule) {nodule.p_nodule:.3f}"
    if nodule.p_malignant is not None:
        yield f"P(malignant) {nodule.p_malignant:.3f}"
    if nodule.suspicious:
        yield "suspicious"


def position(xyz_mm: Triple) -> str:
    """LPS millimetres as a radiologist reads them: a letter for the side, then the distance from the origin."""
    sides = zip(("RL", "AP", "IS"), xyz_mm, (6, 6, 7), strict=True)
    return "  ".join(f"{letters[value > 0]}{abs(value):{digits}.1f}" for letters, value, digits in sides)


def said(report: Report) -> Iterator[tuple[str, str]]:
    """How the report came about: a name and what is said of it."""
    facts, used, t = report.input, report.settings, report.settings.thresholds
    yield "Scan", f"{harmless(facts.path, LONGEST)} ({harmless(facts.format)})"
    yield "Series", harmless(facts.series_uid) or "without a UID"
    if facts.facts:
        yield "Acquired", " · ".join(harmless(f"{key.replace('_', ' ')} {value}") for key, value in facts.facts.items())
    if facts.skipped_series:
        names = ", ".join(harmless(uid) for uid in facts.skipped_series[:3])
        more = f" and {len(facts.skipped_series) - 3} more" if len(facts.skipped_series) > 3 else ""
        yield "Not read", f"{several(len(facts.skipped_series), 'other series', '')}: {names}{more}"
    yield "Geometry", _geometry(facts)
    if report.lungs is not None:
        yield "Lungs", f"{report.lungs.volume_ml:.0f} ml of air-filled lung; only the lungs were searched"
    else:
        yield "Lungs", "not looked for: the whole scan was searched"
    yield "Networks", f"{harmless(used.weights.name)} · sha256 {used.weights.sha256[:12]} · labels {harmless(used.rule)}"
    yield "Engine", f"{used.engine} · {used.precision} · {used.device}"
    yield "Thresholds", f"segmentation {t.segmentation:g} · nodule {t.nodule:g} · malignancy {t.malignancy:g}"
    if (point := used.operating_point) is not None:
        most = f"at most {point.asked_fp_per_scan:g} false positive{'' if point.asked_fp_per_scan == 1 else 's'} a scan"
        share = f"{100 * point.sensitivity:.0f} % of nodules found"
        yield "Operating point", f"{most} (in validation {point.fp_per_scan:.2g}, with {share})"
    stages = [f"{stage} {seconds:.1f}" for stage, seconds in report.timing_s.items() if stage != "total" and seconds >= 0.05]
    yield "Seconds", " · ".join([*stages, f"total {report.timing_s.get('total', 0.0):.1f}"])


def _geometry(facts: InputFacts) -> str:
    shape = " × ".join(str(n) for n in facts.shape_irc)
    spacing = " × ".join(f"{mm:.4g}" for mm in facts.spacing_irc_mm)
    letters, tilt = _axes(facts)
    oblique = f", oblique by {tilt:.1f}°" if tilt >= 0.05 else ""
    return f"{shape} voxels of {spacing} mm (slices, rows, columns) · axes {letters}{oblique}"


def _axes(facts: InputFacts) -> tuple[str, float]:
    """To which side of the patient columns, rows and slices increase, and the largest angle to that side in degrees."""
    letters, tilt = "", 0.0
    for axis in zip(*facts.direction, strict=True):
        main = max(range(3), key=lambda k: abs(axis[k]))
        letters += ("RL", "AP", "IS")[main][axis[main] > 0]
        tilt = max(tilt, math.degrees(math.acos(min(1.0, abs(axis[main])))))
    return letters, tilt


def several(count: int, name: str, ending: str = "s") -> str:
    return f"{count} {name}{'' if count == 1 else ending}"
