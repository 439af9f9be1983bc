"""What only a person knows of the patient and the nodules: facts from a TOML or JSON file, never guessed.

setting = "screening"        # or "incidental"
age = 65
family_history = true

[nodules.1]                  # by the number in the report
upper_lobe = true
spiculated = false
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from lungscan.clinical.nodule_type import Kind
from lungscan.errors import UsageError


class Setting(StrEnum):
    screening = "screening"
    incidental = "incidental"


class Sex(StrEnum):
    female = "female"
    male = "male"


class Risk(StrEnum):
    """Risk of lung cancer as Fleischner 2017 means it, judged by a physician."""

    low = "low"
    high = "high"


class Incomplete(StrEnum):
    """Why a screening scan cannot be read to its end (Lung-RADS v2022, category 0)."""

    prior_awaited = "prior awaited"
    lung_not_seen = "lung not seen"
    infection = "infection"


class Airway(StrEnum):
    subsegmental = "subsegmental"
    segmental = "segmental"  # or more central
    secretions = "secretions"  # air inside
    tubular = "tubular"  # several tubular ones


class Cyst(StrEnum):
    """What a reader saw of a cyst (Lung-RADS v2022, atypical pulmonary cysts)."""

    thin_walled = "thin-walled"  # and unilocular
    fluid_filled = "fluid-filled"
    many = "many"  # as in LCH or LAM
    cavity_grows = "cavity grows"  # the cystic part of a thick-walled one
    thick_walled = "thick-walled"
    multilocular = "multilocular"  # at baseline
    turned_multilocular = "turned multilocular"
    wall_grows = "wall grows"  # or the nodule of a thick-walled one
    multilocular_grows = "multilocular grows"  # or has more loculi or opacity


@dataclass(frozen=True)
class NoduleFacts:
    """What a reader knows of one nodule; None is not given.

    juxtapleural        : at the pleura, smooth, and oval, lentiform or triangular
    benign              : fat, or complete, central, popcorn or ring calcification
    proven_benign       : by work-up
    slowly_growing      : over several screens, never by more than 1.5 mm in 12 months
    doubled_within_year : ground glass
    """

    kind: Kind | None = None
    upper_lobe: bool | None = None
    spiculated: bool | None = None
    juxtapleural: bool | None = None
    benign: bool | None = None
    proven_benign: bool | None = None
    slowly_growing: bool | None = None
    doubled_within_year: bool | None = None
    airway: Airway | None = None
    cyst: Cyst | None = None
    previous_category: str | None = None


@dataclass(frozen=True)
class PatientFacts:
    """What is known of the patient; None is not given.

    age            : in years
    family_history : of lung cancer
    emphysema      : on the scan
    risk           : of lung cancer, for Fleischner 2017
    prior_ct       : whether there is an earlier chest CT
    incomplete     : why the scan cannot be read to its end
    other_finding  : another important finding, Lung-RADS' modifier S
    """

    setting: Setting | None = None
    age: float | None = None
    sex: Sex | None = None
    family_history: bool | None = None
    emphysema: bool | None = None
    cancer_history: bool | None = None
    immunosuppression: bool | None = None
    risk: Risk | None = None
    prior_ct: bool | None = None
    incomplete: Incomplete | None = None
    lymphadenopathy: bool | None = None
    metastasis: bool | None = None
    other_finding: bool | None = None
    nodules: Mapping[int, NoduleFacts] = field(default_factory=dict)

    def nodule(self, id_: int) -> NoduleFacts:
        return self.nodules.get(id_, NoduleFacts())

    def not_given(self) -> tuple[str, ...]:
        """The names of the patient's facts that nobody gave."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is None)


def read_patient(path: Path) -> PatientFacts:
    """The facts in a TOML file, or in a JSON file by its suffix.

    Raises UsageError for a file that cannot be read, an unknown key, or a value that makes no sense.
    """
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        text = path.read_text(encoding="utf-8")
        given = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"the patient file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # the decoders' errors of both formats and of UTF-8
        raise UsageError(f"the patient file {path} is no {kind}: {error}.") from error
    return patient_facts(given, str(path))


def patient_facts(given: object, name: str = "the patient's facts") -> PatientFacts:
    """The facts in a dict as the file holds it. Raises UsageError as `read_patient` does."""
    table = dict(_table(given, name))
    rows = _table(table.pop("nodules", {}), f"{name}: nodules")
    nodules = {_number(key, name): _facts(NoduleFacts, row, f"{name}: nodules.{key}") for key, row in rows.items()}
    return _facts(PatientFacts, table, name, nodules=nodules)


Facts = TypeVar("Facts", PatientFacts, NoduleFacts)


def _facts(kind: type[Facts], given: object, name: str, **more: Any) -> Facts:
    types = {key: get_args(hint)[0] for key, hint in get_type_hints(kind).items() if key not in more}
    table = _table(given, name)
    if unknown := sorted(table.keys() - types.keys()):
        raise UsageError(f"{name}: {unknown[0]} is no fact that lungscan knows; it knows {', '.join(types)}.")
    values: dict[str, Any] = {key: _value(types[key], value, f"{name}: {key}") for key, value in table.items()}
    return kind(**values, **more)


def _table(given: object, name: str) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise UsageError(f"{name} must be a table of facts, not {given!r}.")
    return given


def _number(key: str, name: str) -> int:
    if not (key.isascii() and key.isdigit()) or int(key) < 1:
        raise UsageError(f"{name}: nodules.{key} is no nodule; give its number in the report, as in [nodules.1].")
    return int(key)


def _value(kind: type, value: object, name: str) -> object:
    if issubclass(kind, StrEnum):
        if not isinstance(value, str) or value not in list(kind):
            raise UsageError(f"{name} is {value!r}; it can be {', '.join(kind)}.")
        return kind(value)
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 130:
            raise UsageError(f"{name} is {value!r}; it must be a number of years.")
        return float(value)
    if kind is str:
        if value not in CATEGORIES:
            raise UsageError(f"{name} is {value!r}; it can be {', '.join(CATEGORIES)}.")
        return value
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}; it must be true or false.")
    return value


CATEGORIES = ("1", "2", "3", "4A", "4B", "4X")
"""Lung-RADS categories of a nodule."""
