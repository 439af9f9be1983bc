"""The patient's facts: read strictly, nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.patient import Airway, NoduleFacts, PatientFacts, Risk, Setting, Sex, patient_facts, read_patient
from lungscan.errors import UsageError

TOML = """
setting = "screening"
age = 65
sex = "female"
family_history = true
risk = "high"

[nodules.2]
kind = "part-solid"
upper_lobe = true
spiculated = false
airway = "segmental"
previous_category = "4A"
"""
FACTS = PatientFacts(
    setting=Setting.screening,
    age=65.0,
    sex=Sex.female,
    family_history=True,
    risk=Risk.high,
    nodules={
        2: NoduleFacts(
            kind=Kind.part_solid, upper_lobe=True, spiculated=False, airway=Airway.segmental, previous_category="4A"
        )
    },
)


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    import tomllib

    (tmp_path / "p.toml").write_text(TOML)
    (tmp_path / "p.json").write_text(json.dumps(tomllib.loads(TOML)))
    assert read_patient(tmp_path / "p.toml") == read_patient(tmp_path / "p.json") == FACTS


def test_what_is_not_given_is_none_and_named() -> None:
    facts = patient_facts({})
    assert facts == PatientFacts()
    assert set(facts.not_given()) >= {"setting", "age", "sex", "family_history", "emphysema", "risk", "prior_ct"}
    assert facts.nodule(7) == NoduleFacts()
    assert "age" not in FACTS.not_given()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"agee": 1}, ("agee", "age", "family_history", "emphysema")),
        ({"nodules": {"1": {"lobe": "upper"}}}, ("lobe", "upper_lobe")),
        ({"nodules": {"one": {}}}, ("nodules.one",)),
        ({"nodules": {"0": {}}}, ("nodules.0",)),
        ({"nodules": [1]}, ("nodules", "table")),
        ({"setting": "hospital"}, ("hospital", "screening", "incidental")),
        ({"sex": True}, ("True", "female")),
        ({"age": "65"}, ("'65'", "number")),
        ({"age": True}, ("True",)),
        ({"age": -1}, ("-1",)),
        ({"age": 200}, ("200",)),
        ({"emphysema": "yes"}, ("'yes'", "true or false")),
        ({"emphysema": 1}, ("1", "true or false")),
        ({"nodules": {"1": {"previous_category": "5"}}}, ("'5'", "4A")),
        ([], ("table",)),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(given: object, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        patient_facts(given)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(("name", "text"), [("p.toml", "age = "), ("p.json", "{"), ("p.toml", "\udcff")])
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"is no (TOML|JSON)"):
        read_patient(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_patient(tmp_path / "none.toml")
