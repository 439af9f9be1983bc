"""DICOM as scanners and archives write it: nested sequences, enhanced CT, several series, damaged and foreign files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

from lungscan.errors import InputRefused
from lungscan.readers import dicom, inspect, read
from lungscan.readers.apart import Child
from lungscan.readers.archive import members
from lungscan.readers.dicom_header import parse
from lungscan.readers.room import Room
from tests.readers.files import SERIES, SPACING_IRC, chest_like, dicom_folder

HU = chest_like()


def no_child(*_: object) -> None:
    raise AssertionError("a child was started")


def nested(ds: Dataset, _: int) -> None:
    """What most scanners write: sequences, and items within them, of undefined length."""
    inner = Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.4"
    inner.RescaleSlope = 7
    inner.is_undefined_length_sequence_item = True
    outer = Dataset()
    outer.RescaleIntercept = 99
    outer.ReferencedImageSequence = Sequence([inner, inner])
    outer["ReferencedImageSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    ds.ReferencedStudySequence = Sequence([outer])
    ds["ReferencedStudySequence"].is_undefined_length = True


def implicit(ds: Dataset, k: int) -> None:
    nested(ds, k)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def deflated(ds: Dataset, k: int) -> None:
    nested(ds, k)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


@pytest.mark.parametrize("edit", [nested, implicit, deflated], ids=["explicit", "implicit", "deflated"])
def test_nested_sequences_are_stepped_over_without_a_child(
    tmp_path: Path, edit: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "start", no_child)
    folder = dicom_folder(tmp_path / "ct", HU, edit)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read(folder).hu, HU)
    data = next(folder.iterdir()).read_bytes()
    header = parse(data, "x")
    assert header is not None
    assert edit is deflated or data.count(b"\xff\xff\xff\xff") >= 4
    assert (float(header.tags["RescaleSlope"]), float(header.tags["RescaleIntercept"])) == (1, -1024)


def test_real_scanners_files_take_the_fast_way(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GE, Philips, Siemens and an ADAC export with its RTSTRUCT: nothing asks for a child."""
    monkeypatch.setattr(Child, "start", no_child)
    for name in ("lung-dx/A0001", "cptac-lscc/C3N-00247", "4d-lung/113_HM10395"):
        assert len(dicom.slices(members(data / f"{name}.zip"))) > 16


def meta_end(file: Path) -> int:
    """Preamble and magic, then the element that gives the length of the rest of its group."""
    return 132 + 12 + int(pydicom.dcmread(file).file_meta.FileMetaInformationGroupLength)


def test_a_deflate_bomb_is_refused(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU[:1], deflated)
    file = next(folder.iterdir())
    start, meta = file.read_bytes(), meta_end(file)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(20)) + packer.flush()
    file.write_bytes(start[:meta] + bomb)
    with pytest.raises(InputRefused, match="unpacks to more"):
        read(folder)


def enhanced(path: Path, hu: np.ndarray, *, stacks: int = 1, flavour: str = "NONE", syntax: str | None = None) -> Path:
    """One object of all slices, its frames in no order, each with a rescale of its own."""
    ds = pydicom.dcmread(next(dicom_folder(path.parent / "single", hu[:1]).iterdir()))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(ds, keyword)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.ImageType, ds.NumberOfFrames = ["ORIGINAL", "PRIMARY", "VOLUME", flavour], len(hu)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING_IRC[1], SPACING_IRC[2]], 5
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    order = np.random.default_rng(0).permutation(len(hu))
    each = []
    for k in map(int, order):
        own, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-100.5, -90.25, 30.125 + SPACING_IRC[0] * k]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024 - k, "HU"
        content.StackID = str(k % stacks)
        own.PlanePositionSequence, own.PixelValueTransformationSequence = Sequence([position]), Sequence([values])
        own.FrameContentSequence = Sequence([content])
        each.append(own)
    ds.PerFrameFunctionalGroupsSequence = Sequence(each)
    stored = hu.astype(np.int32) + 1024 + np.arange(len(hu))[:, None, None]
    ds.PixelData = stored[order].astype(np.uint16).tobytes()
    if syntax is not None:
        ds.compress(syntax)
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_an_enhanced_ct_is_placed_and_scaled_frame_by_frame(tmp_path: Path, syntax: str | None) -> None:
    (tmp_path / "e").mkdir()
    volume = read(enhanced(tmp_path / "e" / "all.dcm", HU, syntax=syntax))
    np.testing.assert_array_equal(volume.hu, HU)
    np.testing.assert_allclose(volume.grid.xyz([3, 2, 1]), [-100.5 + 1.35, -90.25 + 2.8, 30.125 + 15])


@pytest.mark.parametrize(("change", "reason"), [({"stacks": 2}, "several stacks"), ({"flavour": "RCBF"}, "RCBF, not HU")])
def test_stacks_and_maps_are_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    (tmp_path / "e").mkdir()
    with pytest.raises(InputRefused, match=reason):
        read(enhanced(tmp_path / "e" / "all.dcm", HU, **change))  # type: ignore[arg-type]


def test_of_equal_series_the_thinner_is_read(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "a", HU, lambda ds, _: setattr(ds, "SliceThickness", 6), series="1.2.1")
    dicom_folder(tmp_path / "b", HU, series="1.2.2")
    assert read(tmp_path).source.series_uid == "1.2.2"


def test_a_larger_rendering_or_scout_series_is_not_chosen(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "slices", HU[:18])
    for number, kind in enumerate(("MIP", "LOCALIZER")):
        image_type = ["DERIVED", "SECONDARY", kind]
        dicom_folder(tmp_path / kind, HU, lambda ds, _, v=image_type: setattr(ds, "ImageType", v), series=f"1.2.{number}")
    assert read(tmp_path).source.series_uid == SERIES


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "ConvolutionKernel"])
def test_two_passes_half_a_step_apart_are_not_one_volume(tmp_path: Path, keyword: str) -> None:
    """SimpleITK reads these as one regular volume of twice the slices, contents alternating."""
    both = np.repeat(chest_like(), 2, axis=0)

    def edit(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [-100.5, -90.25, 30.125 + 2.5 * k]
        setattr(ds, keyword, "12"[k % 2])

    volume = read(dicom_folder(tmp_path / "ct", both, edit))
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.grid.spacing_irc_mm[0] == pytest.approx(5.0)
    assert "several-passes" in {n.code for n in volume.notices}


def test_slices_bright_and_dark_by_turns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="every other slice"):
        read(dicom_folder(tmp_path / "ct", HU + (60 * (np.arange(20) % 2)[:, None, None]).astype(np.int16)))


def test_signed_pixels_without_rescale_count_as_hu_when_air_is_air(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.PixelRepresentation, ds.PixelData = 1, HU[k].tobytes()

    volume = read(dicom_folder(tmp_path / "ct", HU, edit))
    np.testing.assert_array_equal(volume.hu, HU)
    assert "no-rescale" in {n.code for n in volume.notices}

    def without_offset(ds: Dataset, k: int) -> None:
        edit(ds, k)
        ds.PixelData = (HU[k] + 1024).tobytes()

    with pytest.raises(InputRefused, match="HU of air"):
        read(dicom_folder(tmp_path / "off", HU, without_offset))


def test_a_padding_range_that_reaches_into_hu_is_set_to_air(tmp_path: Path) -> None:
    def edit(ds: Dataset, _: int) -> None:
        ds.add_new("PixelPaddingValue", "US", 0)
        ds.add_new("PixelPaddingRangeLimit", "US", 60)

    np.testing.assert_array_equal(read(dicom_folder(tmp_path / "ct", HU, edit)).hu, np.where(HU <= -964, -1024, HU))


def test_a_damaged_file_of_another_kind_is_passed_over(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    mr = pydicom.dcmread(next(folder.iterdir()))
    mr.SOPClassUID = mr.file_meta.MediaStorageSOPClassUID = MRImageStorage
    mr.save_as(folder / "mr.dcm")
    (folder / "mr.dcm").write_bytes((folder / "mr.dcm").read_bytes()[: meta_end(folder / "mr.dcm") + 6])
    volume = read(folder)
    np.testing.assert_array_equal(volume.hu, HU)
    assert [n.code for n in volume.notices] == ["other-files"]


@pytest.mark.parametrize("keep", [200, 900, 20_000])
def test_a_slice_cut_short_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    file = sorted(folder.iterdir())[0]
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputRefused, match=file.name):
        read(folder)


def test_a_dicomdir_stands_for_its_folder(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM broken")
    np.testing.assert_array_equal(read(folder).hu, HU)
    np.testing.assert_array_equal(read(folder / "DICOMDIR").hu, HU)


def test_a_file_without_preamble_is_read_with_a_notice(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, implicit)
    file = next(folder.iterdir())
    ds = pydicom.dcmread(file)
    ds.file_meta, ds.preamble = FileMetaDataset(), None
    pydicom.dcmwrite(file, ds, implicit_vr=True, little_endian=True)
    volume = read(folder)
    np.testing.assert_array_equal(volume.hu, HU)
    assert "no-preamble" in {n.code for n in volume.notices}


def test_a_folder_larger_than_memory_is_read_again_slice_by_slice(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    (folder / "again").write_bytes(sorted(folder.iterdir())[-1].read_bytes())
    volume = read(folder, room=Room(held_bytes=100_000))
    np.testing.assert_array_equal(volume.hu, HU)
    assert {n.code for n in volume.notices} == {"copies"}


def test_one_file_shows_its_whole_series(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    dicom_folder(folder, HU[:16], lambda ds, k: setattr(ds, "InstanceNumber", k), series="1.2.9")
    dicom_folder(tmp_path / "other", HU, series="1.2.7")
    link = tmp_path / "link.dcm"
    link.symlink_to(sorted((tmp_path / "other").iterdir())[3])
    (facts,) = inspect(link)
    assert (facts.series_uid, facts.images, facts.refusal) == ("1.2.7", 20, None)
    np.testing.assert_array_equal(read(link).hu, HU)
