"""The SR read by highdicom's own reader and by hand, against the report, the SEG and the balls' places in the patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from lungscan.errors import LungscanError, UsageError
from lungscan.readers import read
from lungscan.report import dicom_sr
from lungscan.report.dicom_ellipse import ellipse
from lungscan.report.dicom_readback import check_marks
from lungscan.report.dicom_seg import segmentation, write_seg
from lungscan.stages.outline import NoduleMask
from tests.readers.files import dicom_folder
from tests.readers.test_dicom_kinds import enhanced
from tests.report.dicom_scans import HU, RADII_MM, Examined, errors_of_dciodvfy, examined, places_xyz_mm
from tests.report.test_dicom_seg import SECRETS, personal

pytest.importorskip("highdicom", reason="no highdicom: pip install 'lungscan-ct[dicom]'")
from highdicom import sr

PRONE_OBLIQUE = np.diag([-1.0, -1.0, 1.0]) @ Rotation.from_euler("xyz", [5, -12, 9], degrees=True).as_matrix()


def scanned(tmp_path: Path, axes: np.ndarray | None = None) -> Examined:
    axes = np.eye(3) if axes is None else axes
    return examined(read(dicom_folder(tmp_path / "ct", HU, axes=axes)), places_xyz_mm(axes))


def write_sr(scan: Examined, folder: Path, *, with_identity: bool = False) -> Path:
    """The SR, told after the SEG that it points to."""
    seg, file = dicom_sr.write_sr(scan, folder, with_identity=with_identity)
    assert (seg.name, file.name) == ("nodules-seg.dcm", "nodules-sr.dcm")
    return file


def numbers(group: object) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and unit by the code of what is measured and that of its derivation or method."""
    out = {}
    for measurement in group.get_measurements():  # type: ignore[attr-defined]
        how = measurement.derivation or measurement.method
        out[measurement.name.value, "" if how is None else how.value] = (measurement.value, measurement.unit.value)
    return out


def test_each_nodule_has_a_volume_in_the_seg_and_a_mark_on_an_image(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    content = sr.srread(write_sr(scan, tmp_path)).content
    seg = pydicom.dcmread(tmp_path / "nodules-seg.dcm")
    assert len(content.get_volumetric_roi_measurement_groups()) == len(scan.report.nodules)
    assert len(content.get_planar_roi_measurement_groups()) == len(scan.report.nodules)
    for segment in seg.SegmentSequence:
        (volumetric,) = content.get_volumetric_roi_measurement_groups(tracking_uid=segment.TrackingUID)
        (planar,) = content.get_planar_roi_measurement_groups(tracking_uid=segment.TrackingUID)
        pointed = volumetric.referenced_segment[0].ReferencedSOPSequence[0]
        assert pointed.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert pointed.ReferencedSegmentNumber == segment.SegmentNumber
        for group in (volumetric, planar):
            assert group.tracking_identifier == segment.TrackingID
            assert (group.finding_type.value, group.finding_sites[0].value.value) == ("27925004", "39607008")
            assert group.finding_category.value == "49755003"


def test_numbers_are_those_of_the_report(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    content = sr.srread(write_sr(scan, tmp_path)).content
    groups = content.get_volumetric_roi_measurement_groups(), content.get_planar_roi_measurement_groups()
    for nodule, radius, volumetric, planar in zip(scan.report.nodules, RADII_MM, *groups, strict=True):
        in_both = {
            ("81827009", "SPHERE"): (pytest.approx(nodule.diameter_mm, abs=1e-3), "mm"),
            ("111012", ""): (pytest.approx(100 * nodule.p_nodule, abs=1e-3), "%"),
            ("111047", ""): (pytest.approx(100 * nodule.p_malignant, abs=1e-3), "%"),
        }
        assert numbers(volumetric) == in_both | {
            ("118565006", "126030"): (pytest.approx(nodule.volume_mm3, abs=1e-3), "mm3"),
            ("112031", "373098007"): (pytest.approx(nodule.hu_mean, abs=1e-3), "[hnsf'U]"),
        }
        ball = (pytest.approx(2 * radius, rel=0.12), "mm")  # slices 5 mm apart miss the middle of the ball by up to 2.5 mm
        axes = {("103339001", ""): ball, ("103340004", ""): ball, ("81827009", "373098007"): ball}
        assert numbers(planar) == in_both | axes


@pytest.mark.parametrize("axes", [np.eye(3), PRONE_OBLIQUE, np.diag([1.0, -1.0, -1.0])], ids=["HFS", "oblique HFP", "FFP"])
def test_marks_lie_on_the_nodules(tmp_path: Path, axes: np.ndarray) -> None:
    """The ellipse is as far across as the ball where its image cuts it, and around the ball's centre."""
    scan = scanned(tmp_path, axes)
    file = write_sr(scan, tmp_path)
    images = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, (tmp_path / "ct").iterdir())}
    planar = sr.srread(file).content.get_planar_roi_measurement_groups()
    for group, place, radius in zip(planar, places_xyz_mm(axes), RADII_MM, strict=True):
        image = images[group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        r, c = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        row_step, column_step = map(float, image.PixelSpacing)
        i, j = group.roi.value.T - 0.5  # PS3.3, C.10.5.1.2: 0.5 is the centre of the first pixel
        ends = np.array(image.ImagePositionPatient, float) + np.outer(i * column_step, r) + np.outer(j * row_step, c)
        off = np.cross(r, c) @ (ends[0] - place)
        assert np.linalg.norm(ends.mean(axis=0) - off * np.cross(r, c) - place) < 0.7
        across = 2 * np.sqrt(radius**2 - off**2)
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(across, rel=0.1)
        assert np.linalg.norm(ends[3] - ends[2]) == pytest.approx(across, rel=0.1)
    assert errors_of_dciodvfy(file) == []


def test_a_mark_has_the_axes_and_the_turn_of_an_ellipse() -> None:
    """An ellipse of 160 by 64 pixels, 30 degrees from the row, drawn by its equation; its border is good to half a pixel."""
    y, x = np.mgrid[:200, :200] - 99.5
    turn = np.radians(30)
    along, across = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
    drawn = (along / 80) ** 2 + (across / 32) ** 2 <= 1
    ends = ellipse(NoduleMask(1, ((4, 5), (100, 300), (200, 400)), drawn[None]))
    long, short = ends[1] - ends[0], ends[3] - ends[2]
    assert (np.linalg.norm(long), np.linalg.norm(short)) == (pytest.approx(160, abs=0.5), pytest.approx(64, abs=0.5))
    assert np.degrees(np.arctan2(long[1], long[0])) % 180 == pytest.approx(30, abs=0.5)
    np.testing.assert_allclose(ends.mean(axis=0), [200 + 99.5 + 0.5, 100 + 99.5 + 0.5], atol=0.01)


def test_the_report_says_who_made_it_of_what(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    document = sr.srread(write_sr(scan, tmp_path))
    assert document.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    assert (document.StudyInstanceUID, document.ContentTemplateSequence[0].TemplateIdentifier) == ("1.2.3", "1500")
    assert document.ConceptNameCodeSequence[0].CodeValue == "126000"
    (observer,) = document.content.get_observer_contexts()
    assert (observer.observer_type.value, observer.observer_identifying_attributes.name) == ("121007", "lungscan")
    texts = {i.ConceptNameCodeSequence[0].CodeValue: i.get("TextValue") for i in _items(document.ContentSequence)}
    assert (texts["111001"], texts["111003"]) == ("lungscan", scan.report.version)
    named = {uid for _, _, uid, _ in document.get_evidence()}
    assert pydicom.dcmread(tmp_path / "nodules-seg.dcm").SOPInstanceUID in named


def _items(content: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    return [found for item in content for found in (item, *_items(item.get("ContentSequence", [])))]


def test_the_seg_beside_it_is_the_one_that_is_written_alone(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    alone = write_seg(scan, tmp_path).read_bytes()
    first = write_sr(scan, tmp_path).read_bytes()
    assert (tmp_path / "nodules-seg.dcm").read_bytes() == alone
    assert write_sr(scan, tmp_path).read_bytes() == first


def test_frames_of_an_enhanced_ct_are_marked_by_number(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    file = write_sr(examined(read(enhanced(tmp_path / "e" / "all.dcm", HU)), places_xyz_mm(np.eye(3))), tmp_path)
    for group in sr.srread(file).content.get_planar_roi_measurement_groups():
        assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber >= 1
    assert errors_of_dciodvfy(file) == []


def test_identity_only_on_request(tmp_path: Path) -> None:
    scan = examined(read(dicom_folder(tmp_path / "ct", HU, personal)), places_xyz_mm(np.eye(3)))
    data = write_sr(scan, tmp_path).read_bytes()
    assert not [secret for secret in SECRETS if secret.encode() in data]
    named = pydicom.dcmread(write_sr(scan, tmp_path, with_identity=True))
    assert (named.PatientName, named.PatientID) == ("Müller^Jürgen", "MRN-4711")
    assert pydicom.dcmread(tmp_path / "nodules-seg.dcm").PatientID == "MRN-4711"
    assert errors_of_dciodvfy(tmp_path / "nodules-sr.dcm") == []


def test_weights_without_a_malignancy_network_give_no_probability_of_cancer(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    nodules = tuple(replace(n, p_malignant=None, suspicious=None) for n in scan.report.nodules)
    content = sr.srread(write_sr(replace(scan, report=replace(scan.report, nodules=nodules)), tmp_path)).content
    for group in content.get_volumetric_roi_measurement_groups():
        assert ("111047", "") not in numbers(group)


def test_without_nodules_there_is_no_file(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    write_sr(scan, tmp_path)
    assert dicom_sr.write_sr(replace(scan, report=replace(scan.report, nodules=())), tmp_path) == []
    assert [p.name for p in tmp_path.iterdir()] == ["ct"]


def test_a_mark_that_lies_elsewhere_or_points_elsewhere_is_not_written(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    data = write_sr(scan, tmp_path).read_bytes()
    seg = segmentation(scan)
    grid = scan.volume.grid
    check_marks(data, seg.dataset, seg.masks, seg.planes, grid)
    aside = tuple(replace(m, box_irc=(m.box_irc[0], m.box_irc[1], tuple(c + 1 for c in m.box_irc[2]))) for m in seg.masks)
    with pytest.raises(LungscanError, match=r"SR marks nodule 1 1\.\d mm off"):
        check_marks(data, seg.dataset, aside, seg.planes, grid)
    seg.dataset.SOPInstanceUID = "1.2.3.4.5"
    with pytest.raises(LungscanError, match="points nodule 1 to another segment"):
        check_marks(data, seg.dataset, seg.masks, seg.planes, grid)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    scan = scanned(tmp_path)
    volume = replace(scan.volume, source=replace(scan.volume.source, format="nifti"))
    with pytest.raises(UsageError, match="only DICOM input names"):
        write_sr(replace(scan, volume=volume), tmp_path)
