"""Rightly read, and still no chest CT; and text that would do harm where it is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from lungscan.errors import InputRefused
from lungscan.readers import archive, inspect, read
from lungscan.stages.lungs import find_lungs
from tests.conftest import ROOT
from tests.readers.files import SHAPE, SPACING_IRC, chest_like, dicom_folder

HU = chest_like()


def head_like() -> np.ndarray:
    """A skull of bone around brain, in air: HU that are right, and no lung."""
    _, r, c = np.indices(SHAPE)
    radius = np.hypot((r - 80) * SPACING_IRC[1] / 95, (c - 75) * SPACING_IRC[2] / 75)
    base = np.select([radius < 0.92, radius < 1], [35, 1100], -1000)
    return (base + np.random.default_rng(2).integers(-20, 21, SHAPE)).astype(np.int16)


def abdomen_like() -> np.ndarray:
    """Soft tissue with pockets of gas in it."""
    i, r, c = np.indices(SHAPE)
    body = np.hypot((r - 80) / 70, (c - 75) / 68) < 1
    gas = np.hypot(np.hypot((r - 60) / 8, (c - 90) / 12), (i - 10) / 4) < 1
    base = np.select([gas, body], [-980, 45], -1000)
    return (base + np.random.default_rng(3).integers(-20, 21, SHAPE)).astype(np.int16)


@pytest.mark.parametrize("made", [head_like, abdomen_like])
@pytest.mark.parametrize("part", ["CHEST", "HEAD"])
def test_a_scan_without_lungs(tmp_path: Path, made: object, part: str) -> None:
    folder = dicom_folder(tmp_path / "ct", made(), lambda ds, _: setattr(ds, "BodyPartExamined", part))  # type: ignore[operator]
    volume = read(folder)
    assert {n.code for n in volume.notices} == ({"body-part"} if part == "HEAD" else set())
    with pytest.raises(InputRefused, match="no chest CT, as no lungs were found"):
        find_lungs(volume.canonical())


KINDS = {
    "MR": ("MR", "1.2.840.10008.5.1.4.1.1.4"),
    "PET": ("PT", "1.2.840.10008.5.1.4.1.1.128"),
    "nuclear medicine": ("NM", "1.2.840.10008.5.1.4.1.1.20"),
    "ultrasound": ("US", "1.2.840.10008.5.1.4.1.1.6.1"),
    "radiograph": ("CR", "1.2.840.10008.5.1.4.1.1.1"),
    "a screenshot": ("OT", "1.2.840.10008.5.1.4.1.1.7"),
    "a screenshot that calls itself CT": ("CT", "1.2.840.10008.5.1.4.1.1.7"),
    "an MR of class CT": ("MR", "1.2.840.10008.5.1.4.1.1.2"),
    "segmentation": ("SEG", "1.2.840.10008.5.1.4.1.1.66.4"),
    "structures": ("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"),
    "structured report": ("SR", "1.2.840.10008.5.1.4.1.1.88.33"),
    "parametric map": ("OT", "1.2.840.10008.5.1.4.1.1.30"),
    "dose report": ("SR", "1.2.840.10008.5.1.4.1.1.88.67"),
}


@pytest.mark.parametrize("name", list(KINDS))
def test_what_is_no_ct_is_refused_by_its_kind(tmp_path: Path, name: str) -> None:
    modality, sop_class = KINDS[name]

    def edit(ds: Dataset, _: int) -> None:
        ds.Modality, ds.SOPClassUID = modality, UID(sop_class)
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID

    with pytest.raises(InputRefused, match=f"no CT images, only {modality}; give the folder of the CT series"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_without_modality_the_class_counts(tmp_path: Path) -> None:
    volume = read(dicom_folder(tmp_path / "ct", HU, lambda ds, _: delattr(ds, "Modality")))
    assert {n.code for n in volume.notices} == {"no-modality"}


@pytest.mark.parametrize("kind", ["MIP", "MINIP", "VRT", "PROJECTION IMAGE", "MIP "])
def test_renderings_are_refused(tmp_path: Path, kind: str) -> None:
    def edit(ds: Dataset, _: int) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL", kind]

    with pytest.raises(InputRefused, match="rendering, not a slice"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_averages_are_read_with_a_notice(tmp_path: Path) -> None:
    volume = read(
        dicom_folder(tmp_path / "ct", HU, lambda ds, _: setattr(ds, "ImageType", ["DERIVED", "SECONDARY", "AVERAGE"]))
    )
    assert {n.code for n in volume.notices} == {"averaged"}


EVIL = "\x1b[31mred\x1b[0m\nlungscan: all is well\u202e<script>alert(1)</script>=cmd()"


def command(*args: str | Path) -> subprocess.CompletedProcess[bytes]:
    run = [sys.executable, "-m", "lungscan.commands", *args]
    return subprocess.run(run, capture_output=True, check=False, cwd=ROOT, env={**os.environ, "NO_COLOR": "1"})


def test_text_in_tags_cannot_forge_a_line(tmp_path: Path) -> None:
    def edit(ds: Dataset, _: int) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        for keyword in ("SeriesDescription", "ConvolutionKernel", "Manufacturer", "PatientID"):
            ds.add_new(keyword, "LO", "x")
            ds[keyword]._value = EVIL

    folder = dicom_folder(tmp_path / "ct", HU, edit)
    (facts,) = inspect(folder)
    assert facts.description.isprintable()
    assert all(value.isprintable() for value in read(folder).source.facts.values())
    shown = command("inspect", folder)
    assert shown.returncode == 0
    assert b"\x1b" not in shown.stdout
    assert b"\nlungscan:" not in shown.stdout


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO 2022 IR 6", "KLINGON"])
def test_a_false_character_set_costs_a_name_and_no_scan(tmp_path: Path, charset: str) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, _: setattr(ds, "SeriesDescription", "THORAX"))
    for file in folder.iterdir():
        data = file.read_bytes()
        file.write_bytes(data.replace(b"THORAX", "ТОРАКС".encode("cp1251")))
    np.testing.assert_array_equal(read(folder).hu, HU)
    del charset


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    first = sorted(folder.iterdir())[0]
    first.rename(folder / os.fsdecode(b"\xff\xfe\n.dcm"))
    np.testing.assert_array_equal(read(folder).hu, HU)
    (folder / os.fsdecode(b"\xfa.txt")).write_text("x")
    shown = command("inspect", "--json", folder)
    assert shown.returncode == 0
    assert json.loads(shown.stdout)[0]["images"] == 20


def test_a_refusal_is_one_line_whatever_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_bytes(b"NDims = 3\nDimSize = \x1b[31m 1\x07 2\nElementDataFile = LOCAL\n")
    for shown in (command("scan", tmp_path / "a.mhd"), command("inspect", tmp_path / "a.mhd")):
        assert shown.returncode == 3
        assert b"\x1b" not in shown.stdout + shown.stderr
        assert b"Traceback" not in shown.stderr


def test_members_that_are_no_part_of_a_scan(tmp_path: Path) -> None:
    """A zip within, code, and a name in the old encoding; names with .. and / stay labels."""
    folder = dicom_folder(tmp_path / "ct", HU)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for k, file in enumerate(sorted(folder.iterdir())):
            made.write(file, ["../../{}", "/abs/{}", "C:\\{}", "{}"][k % 4].format(file.name))
        made.writestr("viewer.exe", b"MZ" + bytes(5000))
        made.writestr("inner.zip", b"PK\x03\x04" + bytes(50))
        old = zipfile.ZipInfo("caf\udce9.txt".encode("utf-8", "surrogateescape").decode("cp437"))
        made.writestr(old, b"x")
    before = sorted(p.name for p in tmp_path.iterdir())
    volume = read(tmp_path / "a.zip")
    np.testing.assert_array_equal(volume.hu, HU)
    assert {n.code for n in volume.notices} == {"other-files"}
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_zip_cut_short(tmp_path: Path, keep: float) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        for file in folder.iterdir():
            made.write(file, file.name)
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputRefused, match="damaged zip"):
        read(tmp_path / "a.zip")


def test_a_method_that_python_does_not_know(tmp_path: Path) -> None:
    """Deflate64 is number 9."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.dcm", bytes(500))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 9
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InputRefused, match="cannot be unpacked"):
        read(tmp_path / "a.zip")


def test_a_bomb_beside_nothing_never_comes_into_memory(tmp_path: Path) -> None:
    """500 MB of zeros in half a megabyte: over 100 times the zip, so not even begun."""
    import tracemalloc

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made, made.open("a.txt", "w") as member:
        for _ in range(500):
            member.write(bytes(10**6))
    tracemalloc.start()
    with pytest.raises(InputRefused, match="more than is sane"):
        read(tmp_path / "a.zip")
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_foreign_members_are_streamed(tmp_path: Path) -> None:
    """200 MB within the bounds of any zip, a megabyte at a time."""
    import tracemalloc

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made, made.open("a.txt", "w") as member:
        for _ in range(200):
            member.write(bytes(10**6))
    tracemalloc.start()
    with pytest.raises(InputRefused, match="no DICOM"):
        read(tmp_path / "a.zip")
    assert tracemalloc.get_traced_memory()[1] < 3 * archive.PIECE_BYTES + 10**6
    tracemalloc.stop()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_devices_and_links_to_them_are_not_read(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    (folder / "zero.dcm").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    np.testing.assert_array_equal(read(folder).hu, HU)
    with pytest.raises(InputRefused, match="neither a regular file nor a folder"):
        read("/dev/zero")
