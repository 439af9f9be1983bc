"""Folders and zips as the outside world sends them: nothing is extracted, followed, waited for or believed."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import archive, inspect, read
from tests.readers.files import chest_like, dicom_folder, image

HU = chest_like()


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image(HU), str(path))
    return path


@pytest.mark.parametrize("suffix", [".mhd", ".nii.gz", ".nrrd", ".nhdr"])
def test_a_zip_of_one_volume_file(tmp_path: Path, suffix: str) -> None:
    written(tmp_path / "a" / f"1.2.3{suffix}")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for file in (tmp_path / "a").iterdir():
            made.write(file, f"deep/er/{file.name}")
            made.writestr(f"other/{file.name}.raw", b"")
        made.writestr("other/1.2.3.raw", b"of another scan")
    volume = read(tmp_path / "a.zip")
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.source.series_uid == "1.2.3"


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("a", b"2")
    with pytest.raises(InputRefused, match="two members of one name"):
        read(tmp_path / "a.zip")


def test_a_member_with_a_wrong_checksum(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.dcm": b"x" * 200}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"xxxx", b"xyxx", 1))
    with pytest.raises(InputRefused, match=r"a\.dcm in .* cannot be unpacked"):
        read(path)


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.dcm": b"x" * 200})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputRefused, match="encrypted"):
        read(path)


def test_bounds_on_what_a_zip_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lzma = zipped(tmp_path / "lzma.zip", {"a.dcm": bytes(10**8)}, zipfile.ZIP_LZMA)
    with pytest.raises(InputRefused, match="more than is sane"):
        read(lzma)
    monkeypatch.setattr(archive, "TOTAL_BYTES", 1000)
    with pytest.raises(InputRefused, match="more than is sane"):
        read(zipped(tmp_path / "total.zip", {str(k): os.urandom(300) for k in range(4)}))
    monkeypatch.setattr(archive, "MEMBERS", 3)
    with pytest.raises(InputRefused, match="more than is sane"):
        read(zipped(tmp_path / "many.zip", {str(k): b"" for k in range(4)}))


def test_bounds_on_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS", 12)
    for sub in "ab":
        (tmp_path / sub).mkdir()
        for k in range(10):
            (tmp_path / sub / str(k)).touch()
    with pytest.raises(InputRefused, match="more than 12 files"):
        read(tmp_path)
    deep = tmp_path / "deep" / "/".join("123456789")
    dicom_folder(deep, HU)
    with pytest.raises(InputRefused, match="no DICOM"):
        read(tmp_path / "deep")


def test_a_link_in_a_zip_is_passed_over(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.mhd")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(InputRefused, match="no DICOM"):
        read(tmp_path / "a.zip")


def test_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.dcm")
    with pytest.raises(InputRefused, match="neither"):
        read(tmp_path / "x.dcm")
    header = written(tmp_path / "a" / "x.mhd")
    header.with_suffix(".raw").unlink()
    os.mkfifo(header.with_suffix(".raw"))
    with pytest.raises(InputRefused, match="not there"):
        read(header)


def test_data_behind_a_link_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    header = written(tmp_path / "a" / "x.mhd")
    raw = header.with_suffix(".raw")
    raw.rename(tmp_path / "elsewhere.raw")
    raw.symlink_to(tmp_path / "elsewhere.raw")
    with pytest.raises(InputRefused, match="not there"):
        read(header)


def test_series_must_be_that_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "1.2.3.mhd")
    assert read(path, series="1.2.3").source.series_uid == "1.2.3"
    with pytest.raises(UsageError, match=r"1\.2\.3"):
        read(path, series="1.2.4")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_impossible_names_are_no_paths(name: str) -> None:
    with pytest.raises(UsageError):
        read(name)


def test_inspect_shows_every_volume_and_why_not(tmp_path: Path) -> None:
    written(tmp_path / "good.mhd")
    (tmp_path / "bad.nrrd").write_bytes(b"NRRD0004\ndimension: 3\n\n")
    facts = {f.description: f for f in inspect(tmp_path)}
    assert facts["good.mhd"].shape_irc == HU.shape
    assert facts["good.mhd"].hu_range == (int(HU.min()), int(HU.max()))
    assert "how it lies" in (facts["bad.nrrd"].refusal or "")
    (nothing,) = inspect(zipped(tmp_path / "e.zip", {"a.txt": b"x"}))
    assert "no DICOM" in (nothing.refusal or "")
