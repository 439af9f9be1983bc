"""A row: what a batch keeps of a scan, without a time, so that the same scans give the same rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lungscan.findings import Nodule, Report

OK, REFUSED, FAILED = "ok", "refused", "failed"
"""A refused scan is done with until it changes; one that failed is tried again by the next run."""


@dataclass(frozen=True)
class Mark:
    """One row of a submission to LUNA16: patient mm in LPS, and P(nodule)."""

    x_mm: float
    y_mm: float
    z_mm: float
    p_nodule: float


@dataclass(frozen=True)
class Row:
    """One scan. But for name, path, status and reason all is empty when it was not examined.

    page  : the file in its outputs to begin reading from
    marks : the nodules, or every candidate where these were asked for
    """

    name: str
    path: str
    status: str
    reason: str = ""
    series_uid: str = ""
    slices: int | None = None
    nodules: int | None = None
    suspicious: bool | None = None
    p_malignant_max: float | None = None
    largest_mm: float | None = None
    lungs_ml: float | None = None
    sha256: str = ""
    page: str = ""
    warnings: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    @classmethod
    def of(cls, name: str, report: Report, page: str, *, all_candidates: bool) -> Row:
        marked = report.candidates.all if all_candidates else report.nodules
        p = report.patient.p_malignant_max
        return cls(
            name=name,
            path=report.input.path,
            status=OK,
            series_uid=report.input.series_uid,
            slices=report.input.shape_irc[0],
            nodules=len(report.nodules),
            suspicious=report.patient.suspicious,
            p_malignant_max=None if p is None else round(p, 6),
            largest_mm=max((round(n.diameter_mm, 3) for n in report.nodules), default=None),
            lungs_ml=None if report.lungs is None else round(report.lungs.volume_ml, 3),
            sha256=report.input.sha256,
            page=page,
            warnings=tuple(notice.code for notice in report.warnings),
            marks=tuple(_mark(n) for n in marked),
        )

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Row:
        """Raises TypeError when it is the row of another version."""
        marks = tuple(Mark(**mark) for mark in told["marks"])
        return cls(**{**told, "warnings": tuple(told["warnings"]), "marks": marks})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _mark(nodule: Nodule) -> Mark:
    x, y, z = (round(mm, 3) for mm in nodule.centre_xyz_mm)
    return Mark(x, y, z, round(nodule.p_nodule, 6))
