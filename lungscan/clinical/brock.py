"""Brock (PanCan) models 2a and 2b: the probability that a nodule is cancer.

McWilliams et al., Probability of cancer in pulmonary nodules detected on first screening CT, NEJM 369:910-919, 2013, Table
2, the full models: without (2a) and with spiculation (2b).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.outcome import Outcome
from lungscan.clinical.patient import NoduleFacts, PatientFacts, Sex


@dataclass(frozen=True)
class Coefficients:
    """Log odds; `ground_glass` is None where sources disagree."""

    intercept: float
    age: float  # a year over 62
    female: float
    family_history: float
    emphysema: float
    size: float  # (d / 10 mm)^-1/2 - 0.4^-1/2, zero at 4 mm
    part_solid: float
    ground_glass: float | None
    upper_lobe: float
    count: float  # a nodule over 4
    spiculated: float


MODELS = {
    "2a": Coefficients(-6.8071, 0.0321, 0.5635, 0.3013, 0.3462, -5.6693, 0.3395, None, 0.7116, -0.0803, 0.0),
    "2b": Coefficients(
        *(-6.78917, 0.0286687, 0.6010727, 0.296109, 0.2953112, -5.385484),
        *(0.3769578, -0.1276173, 0.6581383, -0.0824156, 0.7729335),
    ),
}
"""2b with the seven figures of three published calculators; they move no probability by more than 3e-5."""

_SIZE_AT_4_MM = 1.58113883  # 0.4^-1/2, as the calculators print it


def log_odds(
    model: str,
    *,
    age: float,
    female: bool,
    family_history: bool,
    emphysema: bool,
    long_mm: float,
    kind: Kind,
    upper_lobe: bool,
    count: int,
    spiculated: bool = False,
) -> float:
    """x of model "2a" or "2b" (McWilliams et al., NEJM 2013, Table 2); the probability is 1 / (1 + exp(-x)).

    long_mm : longest axial diameter
    count   : nodules in the scan

    Raises ValueError for a ground-glass nodule with model 2a.
    """
    b = MODELS[model]
    of_kind = {Kind.part_solid: b.part_solid, Kind.ground_glass: b.ground_glass}.get(kind, 0.0)
    if of_kind is None:
        raise ValueError("model 2a has no confirmed coefficient for ground glass")
    return (
        b.intercept
        + b.age * (age - 62)
        + b.female * female
        + b.family_history * family_history
        + b.emphysema * emphysema
        + b.size * (math.sqrt(10 / long_mm) - _SIZE_AT_4_MM)
        + of_kind
        + b.upper_lobe * upper_lobe
        + b.count * (count - 4)
        + b.spiculated * spiculated
    )


def probability(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def brock(patient: PatientFacts, facts: NoduleFacts, kind: Kind, long_mm: float, count: int) -> Outcome:
    """Probability of cancer by Brock (PanCan, NEJM 2013): model 2b, or 2a where nobody said whether it is spiculated."""
    given = {name: getattr(patient, name) for name in ("age", "sex", "family_history", "emphysema")}
    given |= {"upper_lobe": facts.upper_lobe}
    missing = tuple(name for name, value in given.items() if value is None)
    model = "2a" if facts.spiculated is None else "2b"
    if model == "2a" and kind is Kind.ground_glass:
        missing += ("spiculated",)
    if missing:
        return Outcome("Brock", f"PanCan {model}", None, missing=missing)
    x = log_odds(
        model,
        age=given["age"],
        female=given["sex"] is Sex.female,
        family_history=given["family_history"],
        emphysema=given["emphysema"],
        long_mm=long_mm,
        kind=kind,
        upper_lobe=given["upper_lobe"],
        count=count,
        spiculated=bool(facts.spiculated),
    )
    said = [f"{name.replace('_', ' ')} {_word(value)}" for name, value in given.items()]
    spiculation = () if facts.spiculated is None else (f"spiculated {_word(facts.spiculated)}",)
    because = ", ".join(
        [f"{kind}, longest diameter {long_mm:.1f} mm", *said, *spiculation, f"{count} nodule{'' if count == 1 else 's'}"]
    )
    remarks = ("spiculation was not given: the model without it",) if model == "2a" else ()
    p = probability(x)
    return Outcome("Brock", f"PanCan {model}", f"{100 * p:.1f} %", f"{because}: x = {x:.3f}", remarks=remarks, probability=p)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
