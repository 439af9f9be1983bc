"""Whom a scan shows stands in no output, log or file name; asked for with `--with-identity`, in JSON and DICOM alone.

What the user calls files and folders is the user's own, and is repeated where it says which scan is meant.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.report.writing import WRITERS
from tests.conftest import ROOT
from tests.promises.chest import written
from tests.readers.files import dicom_folder

PERSON = {"PatientName": "Zzyzx^Quillona", "PatientID": "PID-7Q4X9", "PatientBirthDate": "19470813"}
OTHERS = {
    "IssuerOfPatientID": "Issuerwobble",
    "OtherPatientIDs": "OLD-3K8V2",
    "OtherPatientNames": "Maidenname^Vexlia",
    "PatientAddress": "Grubnix Lane 7",
    "PatientTelephoneNumbers": "555-018-2299",
    "PatientComments": "Commentish gloop",
    "AccessionNumber": "ACC-55Z1K",
    "ReferringPhysicianName": "Drxquimby^Vortigern",
    "OperatorsName": "Opwell^Tamsin",
    "InstitutionName": "Qwhospital Wumble",
    "InstitutionAddress": "Wumble Street 9",
    "StationName": "STNQX1",
    "StudyID": "STY-90W",
    "StudyDescription": "Staging of Zzyzx",
    "ProtocolName": "Protocol Quillona",
    "RequestedProcedureDescription": "Procedura Plimsoll",
}
DESCRIPTION = "Series of Quillona"
PRIVATE = "Private Quillona"


def words(values: dict[str, str]) -> set[str]:
    """What must not be found: whole values, and the parts of names."""
    return {part for value in values.values() for part in (value, *value.split("^"))}


SECRET = words(PERSON | OTHERS) | {"Zzyzx", "Quillona", "1947-08-13", "13.08.1947"}


def named(ds: Dataset, _: int) -> None:
    for keyword, value in (PERSON | OTHERS).items():
        setattr(ds, keyword, value)
    ds.SeriesDescription = DESCRIPTION
    ds.private_block(0x0029, "SECRETS", create=True).add_new(0x01, "LO", PRIVATE)


@pytest.fixture(scope="module")
def study(image: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of the lungs, and a short one beside it that is passed over; their files are named after the patient."""
    folder = tmp_path_factory.mktemp("study")
    written(image, folder, "", named)
    dicom_folder(folder / "other", sitk.GetArrayFromImage(image)[:3], named, series="1.2.3.9")
    for file in list(folder.rglob("*.img")):
        file.rename(file.with_name(f"{PERSON['PatientName']}-{file.name}"))
    return folder


def contents(file: Path) -> Iterator[bytes]:
    """A file's bytes, and what is packed in them."""
    raw = file.read_bytes()
    packed = re.compile(rb"base64,([A-Za-z0-9+/=]+)")
    yield packed.sub(b"", raw) if file.suffix == ".html" else raw
    if file.suffix == ".gz":
        yield gzip.decompress(raw)
    elif file.suffix == ".png":
        yield repr(Image.open(io.BytesIO(raw)).info).encode()
    elif file.suffix == ".html":
        yield from map(base64.b64decode, packed.findall(raw))
    elif file.suffix == ".dcm":
        yield str(pydicom.dcmread(file)).encode()


def told(secrets: set[str], where: bytes) -> set[str]:
    """The secrets in some bytes, in either of the encodings that text comes in."""
    return {s for s in secrets for code in ("utf-8", "utf-16-le") if s.lower().encode(code) in where.lower()}


def leaks(folder: Path, secrets: set[str] = SECRET) -> dict[str, set[str]]:
    """What each file below a folder tells, by its name."""
    out: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found = told(secrets, name.encode())
        for content in contents(path) if path.is_file() else ():
            found |= told(secrets, content)
        out[name] = found
    return {name: found for name, found in out.items() if found}


def scan(study: Path, output: Path, kinds: Iterable[str], *more: str) -> subprocess.CompletedProcess[bytes]:
    write = [word for kind in kinds for word in ("--write", kind)]
    command = [sys.executable, "-m", "lungscan.commands", "scan", str(study), *write, "-o", str(output), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True)


def test_the_secrets_are_in_the_scan(study: Path) -> None:
    """So that nothing is found because nothing is there."""
    dataset = pydicom.dcmread(next((study / "chest").iterdir()))
    for keyword, value in (PERSON | OTHERS).items():
        assert dataset[keyword].value == value
    assert leaks(study)


def test_no_output_tells_whom_the_scan_shows(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="DICOM SEG and SR need highdicom")
    ran = scan(study, tmp_path, WRITERS, "--show", "--timeline")
    assert b"1.2.3.9" in ran.stdout  # the other series is told
    assert told(SECRET, ran.stdout + ran.stderr) == set()
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".html", ".csv", ".png", ".gz", ".nrrd", ".mha", ".dcm"}
    assert leaks(tmp_path) == {}


def test_asked_for_they_stand_in_json_and_dicom_alone(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="DICOM SEG and SR need highdicom")
    ran = scan(study, tmp_path, ("json", "html", "csv", "markups", "seg", "sr"), "--with-identity")
    assert told(SECRET, ran.stdout + ran.stderr) == set()
    found = leaks(tmp_path)
    assert {Path(name).suffix for name in found} == {".json", ".dcm"}
    assert found["report.json"] == words(PERSON)
    assert json.loads((tmp_path / "report.json").read_text())["identity"] == dict(
        zip(("name", "id", "birth_date"), PERSON.values(), strict=True)
    )
    for file in tmp_path.glob("*.dcm"):
        made = pydicom.dcmread(file)
        for keyword, value in PERSON.items():
            assert made[keyword].value == value
        for keyword in ("InstitutionName", "OperatorsName", "PatientAddress", "OtherPatientIDs", "PatientComments"):
            assert keyword not in made


def test_json_on_stdout_names_the_patient_when_asked(study: Path) -> None:
    plain = CliRunner().invoke(app, ["scan", str(study), "--json"])
    asked = CliRunner().invoke(app, ["scan", str(study), "--json", "--with-identity"])
    assert told(SECRET, plain.output.encode()) == set()
    assert json.loads(asked.stdout)["identity"]["name"] == PERSON["PatientName"]


def test_no_file_or_variable_asks_for_them(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `lungscan.toml` may have come with the data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUNGSCAN_WITH_IDENTITY", "true")
    assert "identity" not in json.loads(CliRunner().invoke(app, ["scan", str(study), "--json"]).stdout)
    (tmp_path / "lungscan.toml").write_text("with-identity = true\n")
    ran = CliRunner().invoke(app, ["scan", str(study), "--json"])
    assert "with-identity" in str(ran.exception)
    assert ran.stdout == ""


def test_what_is_no_dicom_names_nobody(metaio: Path) -> None:
    asked = CliRunner().invoke(app, ["scan", str(metaio), "--json", "--with-identity"])
    assert json.loads(asked.stdout)["identity"] == {}


@pytest.mark.parametrize(
    "command",
    [["explain", "SCAN", "--finding", "1"], ["compare", "SCAN", "SCAN", "--months", "12"], ["doctor", "--plan", "SCAN"]],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_other_command_tells_it(study: Path, command: list[str], form: list[str]) -> None:
    ran = CliRunner().invoke(app, [str(study) if word == "SCAN" else word for word in command] + form)
    assert ran.exit_code == 0, ran.output
    assert told(SECRET, ran.output.encode()) == set()


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_inspect_calls_a_series_by_its_description_and_tells_no_more(study: Path, form: list[str]) -> None:
    ran = CliRunner().invoke(app, ["inspect", str(study), *form])
    assert DESCRIPTION in ran.output
    assert told(SECRET, ran.output.replace(DESCRIPTION, "").encode()) == set()


def test_a_batch_tells_it_nowhere(study: Path, tmp_path: Path) -> None:
    """Of a scan that is read, and of one that is refused, with the reason."""
    command = ["batch", str(study / "chest"), str(study / "other"), "-o", str(tmp_path / "out"), "--write", "html"]
    ran = CliRunner().invoke(app, [*command, "--write", "csv"])
    assert ran.exit_code == 5
    assert "refused" in ran.output
    assert told(SECRET, ran.output.encode()) == set()
    assert leaks(tmp_path / "out") == {}


@pytest.mark.parametrize("form", [["--verbose"], []])
def test_no_failure_tells_it(study: Path, form: list[str]) -> None:
    """Not even the traceback of a series that cannot be read."""
    command = [sys.executable, "-m", "lungscan.commands", "scan", str(study), "--series", "1.2.3.9", *form]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert ran.returncode == 3
    assert told(SECRET, ran.stdout + ran.stderr) == set()


def test_a_page_repeats_no_folder(image: sitk.Image, tmp_path: Path) -> None:
    """Folders may be named after people, and a page is passed on: of a path it shows the last part alone."""
    folder = tmp_path / PERSON["PatientName"]
    folder.mkdir()
    ran = CliRunner().invoke(
        app, ["scan", str(written(image, folder, ".mha")), "--write", "html", "--write", "csv", "-o", str(tmp_path / "out")]
    )
    assert ran.exit_code == 0
    assert leaks(tmp_path / "out") == {}
