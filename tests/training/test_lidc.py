"""LIDC-IDRI's readings, held to LUNA16's own figures and to a table made from the XML by others."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from lungscan.errors import InputRefused
from lungscan.readers import read
from lungscan.training import lidc
from lungscan.training.job import Findings
from lungscan.volume import Grid, Source, Volume

GRID = Grid((30, 60, 60), (1.0, 1.0, 1.0), (-20.0, -30.0, 100.0), np.eye(3))
VOLUME = Volume(np.zeros(GRID.shape, np.int16), GRID, Source("made", "dicom", "1.2.3"))


def roi(column: int, row: int, z: float, half: int, inclusion: str = "TRUE") -> str:
    corners = [
        (column - half, row - half),
        (column + half, row - half),
        (column + half, row + half),
        (column - half, row + half),
    ]
    edges = "".join(f"<edgeMap><xCoord>{c}</xCoord><yCoord>{r}</yCoord></edgeMap>" for c, r in corners)
    return f"<roi><imageZposition>{z}</imageZposition><inclusion>{inclusion}</inclusion>{edges}</roi>"


def nodule(column: int, row: int, z: int, half: int, rating: int, more: str = "") -> str:
    rois = "".join(roi(column, row, z + k, half) for k in range(-half + 1, half))
    kind = f"<characteristics><malignancy>{rating}</malignancy></characteristics>"
    return f"<unblindedReadNodule>{kind}{rois}{more}</unblindedReadNodule>"


POINT = (
    "<unblindedReadNodule><roi><imageZposition>105</imageZposition><inclusion>TRUE</inclusion>"
    "<edgeMap><xCoord>3</xCoord><yCoord>4</yCoord></edgeMap></roi></unblindedReadNodule>"
)
NOT_ONE = "<nonNodule><imageZposition>106</imageZposition><locus><xCoord>7</xCoord><yCoord>8</yCoord></locus></nonNodule>"


def slice_of(path: Path, series: str) -> None:
    """A DICOM object of a series, as pydicom writes it; no pixels."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = CTImageStorage, f"{series}.1", series
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def message(series: str, *sessions: str) -> str:
    body = "".join(f"<readingSession>{text}</readingSession>" for text in sessions)
    head = f"<ResponseHeader><SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>"
    return f'<LidcReadMessage xmlns="http://www.nih.gov">{head}{body}</LidcReadMessage>'


def findings(folder: Path, *sessions: str) -> Findings:
    there = folder / "LIDC-IDRI-0042" / "scan"
    there.mkdir(parents=True)
    (there / "1.xml").write_text(message("1.2.3", *sessions))
    slice_of(there / "1-001.dcm", "1.2.3")
    (job,) = lidc.jobs(folder)
    assert (job.patient, job.series, job.path) == ("LIDC-IDRI-0042", "1.2.3", there)
    return job.findings(VOLUME)


def test_three_readers_make_a_nodule_and_fewer_do_not(tmp_path: Path) -> None:
    """Cubes of 9 voxels' edge around pixel (20, 25) at z 112: patient mm (0, -5, 112), sphere of 729 mm3 is 11.17 mm."""
    found = findings(
        tmp_path,
        nodule(20, 25, 112, 5, 5) + POINT,
        nodule(20, 25, 112, 5, 4) + nodule(45, 45, 112, 4, 2),
        nodule(20, 25, 112, 5, 3) + nodule(45, 45, 112, 4, 1) + NOT_ONE,
    )
    (true,) = found.nodules
    np.testing.assert_allclose(true.centre_xyz_mm, (0, -5, 112), atol=1e-6)
    assert true.diameter_mm == pytest.approx((6 * 729 / np.pi) ** (1 / 3))
    assert true.ratings == (5, 4, 3)
    drawn, *points = found.ignored
    assert drawn.ratings == (2, 1)
    assert [p.centre_xyz_mm for p in points] == [(-17.0, -26.0, 105.0), (-13.0, -22.0, 106.0)]


def test_neighbours_that_each_reader_drew_apart_stay_apart(tmp_path: Path) -> None:
    """Two touching nodules by three readers are two clusters of three, not one of six."""
    both = nodule(20, 25, 112, 4, 3) + nodule(27, 25, 112, 4, 2)
    found = findings(tmp_path, both, both, both)
    assert [n.ratings for n in found.nodules] == [(3, 3, 3), (2, 2, 2)]


def test_an_excluded_part_is_a_hole(tmp_path: Path) -> None:
    hole = roi(20, 25, 112, 2, "FALSE")
    found = findings(tmp_path, *[nodule(20, 25, 112, 5, 3, hole)] * 3)
    assert found.nodules[0].diameter_mm == pytest.approx((6 * (729 - 9) / np.pi) ** (1 / 3))


@pytest.mark.parametrize(
    "body", ["<unblindedReadNodule><roi/></unblindedReadNodule>", "<broken>", nodule(200, 25, 112, 4, 2)]
)
def test_readings_that_cannot_be_of_this_scan_are_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(InputRefused):
        findings(tmp_path, body)


def test_readings_are_found_wherever_they_lie(tmp_path: Path) -> None:
    """The archive gives the readings also as a download of their own; a series without any is told, not left unsaid."""
    for patient, series in (("0007", "1.7"), ("0008", "1.8")):
        (tmp_path / f"LIDC-IDRI-{patient}" / "study" / series).mkdir(parents=True)
        slice_of(tmp_path / f"LIDC-IDRI-{patient}" / "study" / series / "1-001.dcm", series)
    (tmp_path / "tcia-lidc-xml" / "157").mkdir(parents=True)
    (tmp_path / "tcia-lidc-xml" / "157" / "158.xml").write_text(message("1.7", NOT_ONE))
    (tmp_path / "tcia-lidc-xml" / "157" / "159.xml").write_text(message("1.9", NOT_ONE))
    seventh, eighth = lidc.jobs(tmp_path)
    assert (seventh.patient, seventh.series) == ("LIDC-IDRI-0007", "1.7")
    assert [p.centre_xyz_mm for p in seventh.findings(VOLUME).ignored] == [(-13.0, -22.0, 106.0)]
    with pytest.raises(InputRefused, match="no readings"):
        eighth.findings(VOLUME)


def test_a_damaged_zip_is_a_job_that_is_refused_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "LIDC-IDRI-0007").mkdir()
    slice_of(tmp_path / "LIDC-IDRI-0007" / "1.dcm", "1.7")
    (tmp_path / "LIDC-IDRI-0007" / "1.xml").write_text(message("1.7"))
    (tmp_path / "LIDC-IDRI-0009.zip").write_bytes(b"PK\x03\x04 and no more")
    _, ninth = lidc.jobs(tmp_path)
    assert ninth.patient == "LIDC-IDRI-0009"
    with pytest.raises(InputRefused, match="damaged zip"):
        read(ninth.path, ninth.series)


def test_slices_right_in_the_folder_are_a_patient_of_their_own(tmp_path: Path) -> None:
    slice_of(tmp_path / "1.dcm", "1.7")
    (tmp_path / "1.xml").write_text(message("1.7"))
    (job,) = lidc.jobs(tmp_path)
    assert (job.path, job.patient) == (tmp_path, "1.7")


def test_dicom_without_any_readings_is_no_data_set(tmp_path: Path) -> None:
    slice_of(tmp_path / "1.dcm", "1.7")
    assert lidc.jobs(tmp_path) == []


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("patient", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_real_readings_agree_with_luna16_and_with_the_table(data: Path, patient: str) -> None:
    """Centres within a mm of LUNA16's; diameters within 0.9 mm; the table's means within 7 %."""
    job = next(j for j in lidc.jobs(data / "lidc") if j.patient == patient)
    found = job.findings(read(job.path, job.series))
    luna = rows(data / "lidc" / f"{patient}.luna16_annotations.csv")
    table = [r for r in rows(data / "lidc" / "lidc_nodules_ge3mm_from_xml.csv") if r["patient"] == patient]
    assert len(found.nodules) == len(luna)
    for row in luna:
        place = [float(row[f"coord{axis}"]) for axis in "XYZ"]
        nearest = min(found.nodules, key=lambda n: float(np.linalg.norm(np.subtract(n.centre_xyz_mm, place))))
        assert np.linalg.norm(np.subtract(nearest.centre_xyz_mm, place)) < 1
        assert nearest.diameter_mm == pytest.approx(float(row["diameter_mm"]), abs=0.9)
    ours = sorted((n.ratings for n in (*found.nodules, *found.ignored) if n.readings), key=str)
    assert ours == sorted((tuple(map(int, row["per_mark_malignancy"].split())) for row in table), key=str)
    mean = {row["per_mark_malignancy"]: float(row["mean_equiv_diameter_mm"]) for row in table}
    for n in (*found.nodules, *found.ignored):
        if n.readings:
            assert n.diameter_mm == pytest.approx(mean[" ".join(map(str, n.ratings))], rel=0.07)


def test_every_point_of_the_xml_is_ignored_where_luna16_has_it(data: Path) -> None:
    """LUNA16's excluded findings without a diameter are the points, to the pixel."""
    job = next(j for j in lidc.jobs(data / "lidc") if j.patient == "LIDC-IDRI-0003")
    ours = [n.centre_xyz_mm for n in job.findings(read(job.path, job.series)).ignored if not n.readings]
    excluded = rows(data / "lidc" / "LIDC-IDRI-0003.luna16_annotations_excluded.csv")
    theirs = [[float(r[f"coord{a}"]) for a in "XYZ"] for r in excluded if float(r["diameter_mm"]) < 0]
    np.testing.assert_allclose(sorted(ours), sorted(theirs), atol=0.001)
