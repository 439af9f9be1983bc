"""Fleischner Society 2017: what to do about nodules found by chance.

MacMahon et al., Guidelines for management of incidental pulmonary nodules detected on CT images, Radiology 284:228-243,
2017. Not for screening, people under 35, known cancer or immunosuppression. Sizes are mean diameters in whole
millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import PatientFacts, Risk, Setting

NAME, VERSION = "Fleischner Society", "2017"

SMALL, MEDIUM, LARGE = "< 6 mm", "6-8 mm", "> 8 mm"

_NONE = "no routine follow-up"
_OPTIONAL = "optional CT at 12 months"
_LARGE_SINGLE = "consider CT at 3 months, PET/CT or tissue sampling"
_SIX_LOW = "CT at 6-12 months, then consider CT at 18-24 months"
_SIX_HIGH = "CT at 6-12 months, then CT at 18-24 months"
_THREE_LOW = "CT at 3-6 months, then consider CT at 18-24 months"
_THREE_HIGH = "CT at 3-6 months, then CT at 18-24 months"

SOLID: dict[tuple[bool, Risk], dict[str, str]] = {
    (False, Risk.low): {SMALL: _NONE, MEDIUM: _SIX_LOW, LARGE: _LARGE_SINGLE},
    (False, Risk.high): {SMALL: _OPTIONAL, MEDIUM: _SIX_HIGH, LARGE: _LARGE_SINGLE},
    (True, Risk.low): {SMALL: _NONE, MEDIUM: _THREE_LOW, LARGE: _THREE_LOW},
    (True, Risk.high): {SMALL: _OPTIONAL, MEDIUM: _THREE_HIGH, LARGE: _THREE_HIGH},
}
"""By (several, risk), then size."""

GROUND_GLASS = "CT at 6-12 months, then every 2 years until 5 years"
PART_SOLID = "CT at 3-6 months; unchanged with a solid part < 6 mm: every year for 5 years"
PART_SOLID_SUSPICIOUS = "PET/CT, biopsy or resection to be considered"
SEVERAL_SMALL = "CT at 3-6 months; if stable consider CT at 2 and 4 years"
SEVERAL = "CT at 3-6 months, then by the most suspicious nodule"

GROWTH_MM = 2
"""Least increase of the mean diameter that is growth (MacMahon 2017; Bankier et al., Radiology 285:584-600, 2017)."""

THIN_MM = 1.5
"""Thickest slices on which the guideline wants nodules measured."""


@dataclass(frozen=True)
class Sized:
    """A nodule in whole millimetres of mean diameter; `grew` is whether it did since an earlier scan."""

    id: int
    kind: Kind
    mean_mm: int
    volume_mm3: float
    solid_mm: int | None = None
    grew: bool = False


def band(mean_mm: int) -> str:
    """The size class of a mean diameter; 8 mm is still 6-8."""
    return SMALL if mean_mm < 6 else MEDIUM if mean_mm <= 8 else LARGE


def volume_band(volume_mm3: float) -> str:
    """The size class of a volume: < 100, 100 to 250, > 250 mm3."""
    return SMALL if volume_mm3 < 100 else MEDIUM if volume_mm3 <= 250 else LARGE


def solid(size: str, *, several: bool, risk: Risk | None) -> str | None:
    """The recommendation for solid nodules of a size class; None when it turns on a risk that is not given."""
    by_risk = {SOLID[several, each][size] for each in ([risk] if risk else Risk)}
    return by_risk.pop() if len(by_risk) == 1 else None


def subsolid(nodule: Sized, *, several: bool) -> str:
    """The recommendation for ground-glass and part-solid nodules, whatever the risk."""
    small = band(nodule.mean_mm) == SMALL
    if several:
        return SEVERAL_SMALL if small else SEVERAL
    if small:
        return _NONE
    if nodule.kind is Kind.ground_glass:
        return GROUND_GLASS
    return PART_SOLID_SUSPICIOUS if nodule.grew or (nodule.solid_mm or 0) >= 6 else PART_SOLID


def refusal(patient: PatientFacts) -> Outcome | None:
    """Why the guideline does not apply to the patient, or which facts of its scope are missing."""
    if patient.setting is Setting.screening:
        return _not("it is for nodules found by chance, not for screening")
    if patient.age is not None and patient.age < 35:
        return _not(f"it is not for people under 35 (age {patient.age:g})")
    if patient.cancer_history:
        return _not("it is not for patients with known cancer")
    if patient.immunosuppression:
        return _not("it is not for patients with immunosuppression")
    scope = ("setting", "age", "cancer_history", "immunosuppression")
    missing = tuple(name for name in scope if getattr(patient, name) is None)
    return Outcome(NAME, VERSION, None, missing=missing) if missing else None


def recommend(nodules: Sequence[Sized], risk: Risk | None, slice_mm: float) -> list[Outcome]:
    """One outcome for the solid nodules and one for the subsolid ones, each led by the largest of them.

    slice_mm : distance between slices; a remark says when they are thicker than the guideline wants
    """
    groups = (
        [n for n in nodules if n.kind in (Kind.solid, Kind.calcified)],
        [n for n in nodules if n.kind in (Kind.part_solid, Kind.ground_glass)],
    )
    thick = f"measured on slices of {slice_mm:g} mm; the guideline wants at most {THIN_MM:g} mm"
    remarks = (thick,) if slice_mm > THIN_MM else ()
    return [_of_group(group, risk, remarks) for group in groups if group] or [_not("no nodules were found")]


def _of_group(group: Sequence[Sized], risk: Risk | None, remarks: tuple[str, ...]) -> Outcome:
    several = len(group) > 1
    lead = max(group, key=lambda n: (n.solid_mm or 0, n.mean_mm, -n.id))
    number = f"{len(group)} nodules, the largest" if several else "single"
    because = f"nodule {lead.id}: {number}, {lead.kind}, {lead.mean_mm} mm ({band(lead.mean_mm)})"
    if lead.grew:
        remarks += (f"it grew by {GROWTH_MM} mm or more",)
    if (by_volume := volume_band(lead.volume_mm3)) != band(lead.mean_mm):
        remarks += (f"by its volume of {lead.volume_mm3:.0f} mm3 it belongs to {by_volume}",)
    if lead.kind in (Kind.part_solid, Kind.ground_glass):
        part = "" if lead.solid_mm is None else f", solid part {lead.solid_mm} mm"
        return Outcome(NAME, VERSION, subsolid(lead, several=several), because + part, remarks=remarks)
    result = solid(band(lead.mean_mm), several=several, risk=risk)
    if result is None:
        return Outcome(NAME, VERSION, None, because, missing=("risk",))
    return Outcome(NAME, VERSION, result, f"{because}, {risk} risk" if risk else because, remarks=remarks)


def _not(why: str) -> Outcome:
    return Outcome(NAME, VERSION, None, inapplicable=why)
