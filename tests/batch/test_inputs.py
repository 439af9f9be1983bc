"""Which scans are found in what is given, and what they are called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import fsspec
import pydicom
import pytest

from lungscan.batch.inputs import LONGEST_NAME, Inputs, Scan
from lungscan.batch.places import at_hand
from lungscan.errors import EngineUnavailable, UsageError
from lungscan.phantom import writers
from lungscan.readers import read
from tests.batch.made import chest, write_chests


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 DICOM slices."""
    return writers.write(chest(0), tmp_path_factory.mktemp("dicom"), "dicom")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scans(*given: str) -> list[Scan]:
    return Inputs(given, "out").scans()


def places(*given: str) -> list[str]:
    return [scan.path for scan in scans(*given)]


def edited(series: Path, folder: str, **values: object) -> Path:
    """A copy of the series with other values."""
    shutil.copytree(series, folder)
    for file in Path(folder).iterdir():
        image = pydicom.dcmread(file)
        for keyword, value in values.items():
            setattr(image, keyword, value)
        image.save_as(file)
    return Path(folder)


def test_each_folder_with_ct_slices_is_a_scan(series: Path) -> None:
    for place in ("data/P1/S1", "data/P1/S2", "data/P2/deep/er/S1"):
        shutil.copytree(series, place)
    Path("data/P2/notes.txt").write_text("no scan")
    assert places("data") == ["data/P1/S1", "data/P1/S2", "data/P2/deep/er/S1"]
    assert [scan.name for scan in scans("data")] == ["data__P1__S1", "data__P1__S2", "data__P2__deep__er__S1"]


def test_zips_and_volume_files_are_scans(series: Path) -> None:
    write_chests(Path("data"), 2)
    shutil.make_archive("data/P1/chest", "zip", series)
    assert places("data") == ["data/P0/1.2.0.mhd", "data/P1/1.2.1.mhd", "data/P1/chest.zip"]


def test_series_that_are_no_ct_slices_are_passed_over_and_told(series: Path) -> None:
    shutil.copytree(series, "data/CT")
    edited(series, "data/MR", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    edited(series, "data/SCOUT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    inputs = Inputs(["data"], "out")
    assert [scan.path for scan in inputs.scans()] == ["data/CT"]
    assert inputs.passed_over == ("data/MR", "data/SCOUT")


def test_a_folder_given_is_answered_even_without_a_scan(series: Path) -> None:
    edited(series, "MR", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    Path("empty").mkdir()
    assert places("MR", "empty") == ["MR", "empty"]
    assert Inputs(["empty"], "out").scans(answer_all=False) == []


def test_damaged_dicom_is_a_scan_so_that_its_reader_says_why() -> None:
    Path("data/P1").mkdir(parents=True)
    Path("data/P1/broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    assert places("data") == ["data/P1"]


def test_a_series_spread_over_folders_is_one_scan_of_all_its_slices(series: Path) -> None:
    for k, file in enumerate(sorted(series.iterdir())):
        Path(f"data/part{k // 12}").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, f"data/part{k // 12}")
    (scan,) = scans("data")
    assert (scan.path, scan.name) == ("data", "data__part0")
    assert read(scan.path, scan.series).hu.shape[0] == 24


def test_copies_of_a_series_are_scans_of_their_own(series: Path) -> None:
    shutil.copytree(series, "data/a")
    shutil.copytree(series, "data/b")
    assert places("data") == ["data/a", "data/b"]


def test_slices_above_other_slices_are_read_by_their_series(series: Path) -> None:
    shutil.copytree(series, "data")
    other = edited(series, "data/other", SeriesInstanceUID="1.2.3.4")
    above, below = scans("data")
    assert (above.path, below.path) == ("data", str(other))
    assert read(above.path, above.series).source.series_uid == chest(0).source.series_uid
    assert read(below.path, below.series).source.series_uid == "1.2.3.4"


def test_lists_name_a_path_a_line_from_their_own_folder() -> None:
    write_chests(Path("data"), 3)
    Path("data/list.txt").write_text("# two of three\nP0/1.2.0.mhd\n\nP2\n")
    assert places("data/list.txt") == places("@data/list.txt") == ["data/P0/1.2.0.mhd", "data/P2/1.2.2.mhd"]


def test_what_a_list_names_and_is_not_there_is_a_scan_to_be_refused() -> None:
    Path("list.txt").write_text("gone.mhd\n")
    assert places("list.txt") == ["gone.mhd"]


def test_globs() -> None:
    write_chests(Path("data"), 3)
    assert places("data/P[02]/*.mhd") == ["data/P0/1.2.0.mhd", "data/P2/1.2.2.mhd"]
    assert places("data/**/*.mhd") == [f"data/P{k}/1.2.{k}.mhd" for k in range(3)]
    with pytest.raises(UsageError, match=r"P\?x meets no file"):
        scans("data/P?x")


def test_what_is_given_twice_counts_once(here: Path) -> None:
    (file, _) = write_chests(Path("data"), 2)
    Path("again").symlink_to("data")
    assert len(scans("data", str(file), str(here / "data"), "again", "data/*")) == 2


def test_nowhere_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no file or folder nowhere"):
        scans("nowhere")
    with pytest.raises(UsageError, match=r"list nowhere\.txt cannot be read"):
        scans("nowhere.txt")


def test_outputs_are_no_inputs() -> None:
    write_chests(Path("data"), 1)
    write_chests(Path("data/out"), 1)
    inputs = Inputs(["data"], "data/out")
    assert [scan.path for scan in inputs.scans()] == ["data/P0/1.2.0.mhd"]
    for given in ("data/out/P0", "data/out"):
        with pytest.raises(UsageError, match="lies in the folder of the outputs"):
            Inputs([given], "data/out").scans()


def test_hidden_files_and_folders_and_links_are_left_alone() -> None:
    write_chests(Path("data"), 1)
    write_chests(Path("data/.trash"), 1)
    shutil.copy("data/P0/1.2.0.mhd", "data/P0/._1.2.0.mhd")
    Path("data/link").symlink_to("P0")
    Path("data/P0/link.mhd").symlink_to("1.2.0.mhd")
    assert places("data") == ["data/P0/1.2.0.mhd"]


def test_names_are_plain_and_never_shared() -> None:
    for folder in ("a/x", "b/x", "a/x__y", "a/x/y", "a/ü ö", "a/-o", "a/X", "a/" + "n" * 200):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "c.nrrd").touch()
    names = [scan.name for scan in scans("a", "a/x", "b/x", "b")]
    assert len(names) == len({name.casefold() for name in names}) == 8
    assert all(len(name.encode()) <= LONGEST_NAME for name in names)
    assert all(name[0] not in ".-" and not set(name) & set('/ \\:*?"<>|\n') for name in names)
    assert [scan.name for scan in scans("b")] == ["b__x__c.nrrd"]


def test_a_name_that_is_no_unicode() -> None:
    Path(os.fsdecode(b"data/\xff")).mkdir(parents=True)
    Path(os.fsdecode(b"data/\xff/x.nrrd")).touch()
    assert [scan.name for scan in scans("data")] == ["data_____x.nrrd"]


@pytest.mark.parametrize("change", ["size", "time", "more", "voxels"])
def test_a_change_of_its_files_changes_a_scan_s_stamp(series: Path, change: str) -> None:
    shutil.copytree(series, "data/P1")
    write_chests(Path("data/volumes"), 1)
    before = {scan.path: scan.stamp for scan in scans("data")}
    assert {scan.path: scan.stamp for scan in scans("data")} == before
    file = min(Path("data/P1").iterdir())
    if change == "size":
        file.write_bytes(file.read_bytes() + b"\0")
    elif change == "time":
        os.utime(file, (1, 1))
    elif change == "more":
        shutil.copy(file, "data/P1/more.dcm")
    else:
        os.utime("data/volumes/P0/1.2.0.zraw", (1, 1))
    changed = [scan.path for scan in scans("data") if before[scan.path] != scan.stamp]
    assert changed == (["data/volumes/P0/1.2.0.mhd"] if change == "voxels" else ["data/P1"])


def test_a_dicomdir_means_its_folder(series: Path) -> None:
    shutil.copytree(series, "cd/S1")
    Path("cd/DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert places("cd/DICOMDIR") == places("cd") == ["cd/S1"]


def test_what_lies_behind_a_url_is_found_and_fetched_like_a_folder(series: Path) -> None:
    write_chests(Path("data"), 2)
    shutil.copytree(series, "data/P0/dicom")
    store = fsspec.filesystem("memory")
    store.put("data/", "memory://inputs/data/", recursive=True)
    local, remote = scans("data"), scans("memory://inputs/data")
    assert [scan.name for scan in remote] == [scan.name for scan in local]
    assert [scan.path for scan in remote] == [f"memory:///inputs/{scan.path}" for scan in local]
    for there, scan in zip(remote, local, strict=True):
        with at_hand(there.path) as path:
            assert read(path).sha256() == read(scan.path).sha256()
        assert not Path(path).exists()
    assert len(scans("memory://inputs/data/*/*.mhd")) == 2
    with pytest.raises(UsageError, match="no file or folder memory://nowhere"):
        scans("memory://nowhere")


def test_urls_of_no_known_kind() -> None:
    with pytest.raises(UsageError, match="what://is/this cannot be opened"):
        scans("what://is/this")


def test_without_fsspec_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'lungscan-ct\[remote\]'"):
        scans("memory://inputs")
