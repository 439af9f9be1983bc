"""The SEG against balls whose place in the patient is known, read by pydicom and highdicom and judged by dciodvfy."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from lungscan.errors import EngineUnavailable, InputRefused, LungscanError, UsageError
from lungscan.phantom import writers
from lungscan.readers import read
from lungscan.report import dicom_objects
from lungscan.report.dicom_readback import check_places
from lungscan.report.dicom_seg import write_seg
from lungscan.report.dicom_source import check_dicom_out, source_planes
from lungscan.stages.outline import nodule_masks
from tests.readers.files import SERIES, dicom_folder
from tests.readers.test_dicom_kinds import enhanced
from tests.report.dicom_scans import HU, centroids_xyz_mm, errors_of_dciodvfy, examined, places_xyz_mm

hd = pytest.importorskip("highdicom", reason="no highdicom: pip install 'lungscan-ct[dicom]'")

# columns of each: to where in the patient column, row and slice increase, for a patient on the table this way
LYING = {
    "HFS": np.diag([1.0, 1.0, 1.0]),
    "HFP": np.diag([-1.0, -1.0, 1.0]),
    "FFS": np.diag([-1.0, 1.0, -1.0]),
    "FFP": np.diag([1.0, -1.0, -1.0]),
    "oblique HFS": Rotation.from_euler("xyz", [9, -14, 11], degrees=True).as_matrix(),
    "oblique FFP": np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("xyz", [-6, 12, 8], degrees=True).as_matrix(),
}
CLOSE_MM = 0.5
"""Half a voxel is 0.7 mm in the slice, 2.5 mm across."""


@pytest.mark.parametrize("lying", LYING)
def test_segments_lie_where_the_nodules_are(tmp_path: Path, lying: str) -> None:
    axes = LYING[lying]
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, _: setattr(ds, "PatientPosition", lying[-3:]), axes=axes)
    places = places_xyz_mm(axes)
    file = write_seg(examined(read(folder), places), tmp_path)
    assert file == tmp_path / "nodules-seg.dcm"
    for found, place in zip(centroids_xyz_mm(file), places, strict=True):
        assert np.linalg.norm(found - place) < CLOSE_MM
        assert (np.sign(found) == np.sign(place)).all()
    assert errors_of_dciodvfy(file) == []


@pytest.mark.parametrize("layout", ["LPS", "RPI", "RAI", "LAS", "PSR", "SRP"])
def test_flipped_sagittal_and_coronal_layouts(tmp_path: Path, layout: str) -> None:
    """Six of the 48 ways of laying out the axes, mirrored ones too, as the phantom's writer lays them out."""
    volume = read(dicom_folder(tmp_path / "ct", HU))
    places = places_xyz_mm(np.eye(3))
    folder = writers.write(writers.orient(volume, layout), tmp_path, "dicom")
    file = write_seg(examined(read(folder), places), tmp_path)
    assert file is not None
    for found, place in zip(centroids_xyz_mm(file), places, strict=True):
        assert np.linalg.norm(found - place) < CLOSE_MM


def test_study_frame_of_reference_and_source_images_are_kept(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    file = write_seg(examined(read(folder), places_xyz_mm(np.eye(3))), tmp_path)
    seg = pydicom.dcmread(file)
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == ("1.2.3", "1.2.3.4")
    assert seg.SeriesInstanceUID != SERIES
    images = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, folder.iterdir())}
    for own in seg.PerFrameFunctionalGroupsSequence:
        (source,) = own.DerivationImageSequence[0].SourceImageSequence
        there = images[source.ReferencedSOPInstanceUID].ImagePositionPatient
        assert list(own.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(list(there))
        assert source.SpatialLocationsPreserved == "YES"


def test_highdicom_reads_a_segment_a_nodule_with_the_right_codes(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3)))
    seg = hd.seg.segread(write_seg(scan, tmp_path))
    assert seg.segmentation_type.value == "BINARY"
    for number, mask in enumerate(nodule_masks(scan), 1):
        segment = seg.get_segment_description(number)
        assert segment.algorithm_type.value == "AUTOMATIC"
        assert segment.algorithm_identification.name == "lungscan"
        assert segment.algorithm_identification.version == scan.report.version
        assert (segment.segmented_property_category.value, segment.segmented_property_type.value) == ("49755003", "27925004")
        assert segment.anatomic_regions[0].value == "39607008"
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        assert np.count_nonzero(volume.array) == mask.mask.sum()


def test_a_single_nodule_is_named_in_each_frame(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3))[:1])
    file = write_seg(scan, tmp_path)
    for own in pydicom.dcmread(file).PerFrameFunctionalGroupsSequence:
        assert own.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    assert errors_of_dciodvfy(file) == []
    assert len(hd.seg.segread(file).segment_numbers) == 1


def test_frames_of_an_enhanced_ct_are_named_by_number(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    path = enhanced(tmp_path / "e" / "all.dcm", HU)
    places = places_xyz_mm(np.eye(3))
    file = write_seg(examined(read(path), places), tmp_path)
    source = pydicom.dcmread(path)
    for own in pydicom.dcmread(file).PerFrameFunctionalGroupsSequence:
        (image,) = own.DerivationImageSequence[0].SourceImageSequence
        frame = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        there = frame.PlanePositionSequence[0].ImagePositionPatient
        assert list(own.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(list(there))
    for found, place in zip(centroids_xyz_mm(file), places, strict=True):
        assert np.linalg.norm(found - place) < CLOSE_MM
    assert errors_of_dciodvfy(file) == []


def test_of_two_passes_at_one_place_the_one_that_was_read_is_named(tmp_path: Path) -> None:
    def second(ds: Dataset, k: int) -> None:
        ds.AcquisitionNumber, ds.SOPInstanceUID = 2, f"{SERIES}.2.{k}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID

    dicom_folder(tmp_path / "ct" / "a", HU[:18])
    dicom_folder(tmp_path / "ct" / "b", HU + 7, second)
    scan = examined(read(tmp_path / "ct"), places_xyz_mm(np.eye(3)))
    seg = pydicom.dcmread(write_seg(scan, tmp_path))
    named = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert named
    assert all(uid.startswith(f"{SERIES}.2.") for uid in named)


def personal(ds: Dataset, _: int) -> None:
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Jürgen", "MRN-4711", "19530217", "M"
    ds.SpecificCharacterSet, ds.AccessionNumber, ds.ReferringPhysicianName = "ISO_IR 100", "ACC-0815", "House^Gregory"
    ds.InstitutionName, ds.StationName, ds.Manufacturer, ds.OtherPatientNames = "St Elsewhere", "CT99", "Acme", "Smith^J"
    ds.PatientComments, ds.OperatorsName, ds.StudyDate = "brother of Smith", "Op^Erator", "20260131"


SECRETS = ("Müller", "MRN-4711", "19530217", "ACC-0815", "House", "Elsewhere", "CT99", "Smith", "Erator")


def test_nothing_that_names_the_patient_is_carried_over(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU, personal)), places_xyz_mm(np.eye(3)))
    file = write_seg(scan, tmp_path)
    data, seg = file.read_bytes(), pydicom.dcmread(file)
    for secret in SECRETS:
        assert secret.encode("latin-1") not in data
        assert secret.encode() not in data
    assert (seg.PatientName, seg.PatientID, seg.StudyInstanceUID, seg.PatientIdentityRemoved) == ("", "", "1.2.3", "YES")


def test_identity_is_carried_over_on_request_and_no_more(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU, personal)), places_xyz_mm(np.eye(3)))
    file = write_seg(scan, tmp_path, with_identity=True)
    seg = pydicom.dcmread(file)
    assert (seg.PatientName, seg.PatientID, seg.PatientBirthDate, seg.PatientSex) == (
        "Müller^Jürgen",
        "MRN-4711",
        "19530217",
        "M",
    )
    assert (seg.AccessionNumber, seg.ReferringPhysicianName) == ("ACC-0815", "House^Gregory")
    assert "PatientIdentityRemoved" not in seg
    assert not [secret for secret in SECRETS[5:] if secret.encode() in file.read_bytes()]
    assert errors_of_dciodvfy(file) == []


def test_values_that_break_dicom_s_rules_do_not_get_through(tmp_path: Path) -> None:
    def careless(ds: Dataset, _: int) -> None:
        ds["PatientSex"] = DataElement("PatientSex", "CS", "m", validation_mode=IGNORE)
        ds["StudyDate"] = DataElement("StudyDate", "DA", "31.1.2026", validation_mode=IGNORE)
        ds["StudyTime"] = DataElement("StudyTime", "TM", "25:00", validation_mode=IGNORE)
        ds.SliceThickness = None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what the test writes on purpose
        folder = dicom_folder(tmp_path / "ct", HU, careless)
    scan = examined(read(folder), places_xyz_mm(np.eye(3)))
    file = write_seg(scan, tmp_path, with_identity=True)
    seg = pydicom.dcmread(file)
    assert (seg.PatientSex, seg.StudyDate, seg.StudyTime) == ("", "", "")
    assert errors_of_dciodvfy(file) == []


def test_the_same_scan_gives_the_same_bytes_and_another_result_another_uid(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3)))
    first = write_seg(scan, tmp_path).read_bytes()
    uid = pydicom.dcmread(tmp_path / "nodules-seg.dcm").SOPInstanceUID
    later = replace(scan, report=replace(scan.report, created="2027-01-01T00:00:00+00:00", timing_s={"total": 1.0}))
    assert write_seg(later, tmp_path).read_bytes() == first
    other = replace(scan, report=replace(scan.report, version="99"))
    write_seg(other, tmp_path)
    assert pydicom.dcmread(tmp_path / "nodules-seg.dcm").SOPInstanceUID != uid


def test_without_nodules_there_is_no_file(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3)))
    assert write_seg(scan, tmp_path) is not None
    none = replace(scan, report=replace(scan.report, nodules=()))
    assert write_seg(none, tmp_path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["ct"]


def test_a_segment_half_a_voxel_off_is_not_written(tmp_path: Path) -> None:
    """The check reads the file: told that a nodule lies half a column further, on the other side, or nowhere, it refuses."""
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3)))
    data = write_seg(scan, tmp_path).read_bytes()
    masks, nodules, grid = nodule_masks(scan), scan.report.nodules, scan.volume.grid
    check_places(data, masks, nodules, grid)
    check_places(data, masks, nodules, replace(grid, origin_xyz_mm=tuple(grid.xyz((0, 0, 0.45)))))
    with pytest.raises(LungscanError, match=r"places nodule 1 0\.\d mm off"):
        check_places(data, masks, nodules, replace(grid, origin_xyz_mm=tuple(grid.xyz((0, 0, 0.55)))))
    with pytest.raises(LungscanError, match="places nodule 1"):
        check_places(data, masks, nodules, replace(grid, direction=grid.direction * [-1, 1, 1]))
    with pytest.raises(LungscanError, match="lacks nodule"):
        check_places(data, (*masks, masks[0]), (*nodules, nodules[0]), grid)


def test_an_outline_away_from_the_report_s_centre_is_not_written(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU)), places_xyz_mm(np.eye(3)))
    data = write_seg(scan, tmp_path).read_bytes()
    i, r, c = scan.report.nodules[0].centre_irc
    elsewhere = (replace(scan.report.nodules[0], centre_irc=(i, r, HU.shape[2] - c)), scan.report.nodules[1])
    with pytest.raises(LungscanError, match="places nodule 1"):
        check_places(data, nodule_masks(scan), elsewhere, scan.volume.grid)


def test_other_formats_are_refused_before_and_after_the_scan(tmp_path: Path) -> None:
    volume = read(dicom_folder(tmp_path / "ct", HU))
    file = writers.write(volume, tmp_path, "mhd")
    with pytest.raises(UsageError, match="belongs to a study and a frame of reference"):
        check_dicom_out(file)
    with pytest.raises(UsageError, match="belongs to a study and a frame of reference"):
        write_seg(examined(read(file), places_xyz_mm(np.eye(3))), tmp_path)
    check_dicom_out(tmp_path / "ct")
    check_dicom_out(next((tmp_path / "ct").iterdir()))
    check_dicom_out(tmp_path / "nowhere")


def test_images_without_a_frame_of_reference_are_refused(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, _: delattr(ds, "FrameOfReferenceUID"))
    scan = examined(read(folder), places_xyz_mm(np.eye(3)))
    with pytest.raises(InputRefused, match="has no FrameOfReferenceUID"):
        write_seg(scan, tmp_path)


def test_images_that_are_gone_are_missed(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    volume = read(folder)
    for file in folder.iterdir():
        if pydicom.dcmread(file).SOPInstanceUID == f"{SERIES}.7":
            file.unlink()
    assert source_planes(volume, [5, 7])[1].image.SOPInstanceUID == f"{SERIES}.8"
    with pytest.raises(InputRefused, match="no longer holds the image of slice 6"):
        source_planes(volume, [6])


def test_a_missing_highdicom_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_objects, "find_spec", lambda _: None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'lungscan-ct\[dicom\]'"):
        check_dicom_out(tmp_path)
