"""DICOM against SimpleITK where both are right, and refusals where a careless reader goes wrong in silence."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from scipy.spatial.transform import Rotation

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import inspect, read
from lungscan.readers.apart import at_hand
from lungscan.readers.dicom_header import parse
from lungscan.readers.dicom_pixels import decompressed
from lungscan.readers.dicom_slice import Slice
from tests.readers.files import SERIES, chest_like, dicom_folder, same_place, sitk_series

HU = chest_like()
OBLIQUE = Rotation.from_euler("xyz", [4, -3, 7], degrees=True).as_matrix()
PRONE = np.diag([-1.0, -1.0, 1.0])
TO_THE_FEET = np.diag([-1.0, 1.0, -1.0])


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE, PRONE, TO_THE_FEET], ids=["axial", "oblique", "prone", "feet"])
def test_voxels_and_places_equal_simpleitk(tmp_path: Path, axes: np.ndarray) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, axes=axes)
    volume, reference = read(folder), sitk_series(folder)
    np.testing.assert_array_equal(volume.hu, sitk.GetArrayFromImage(reference))
    same_place(volume.grid, reference)
    assert (volume.source.series_uid, volume.source.format) == (SERIES, "dicom")


def test_row_spacing_comes_first(tmp_path: Path) -> None:
    assert read(dicom_folder(tmp_path / "ct", HU)).grid.spacing_irc_mm == pytest.approx((5.0, 1.4, 1.35))


def test_nested_folders_odd_names_and_foreign_files(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct" / "a" / "b", HU)
    (folder / "notes.txt").write_text("not DICOM")
    (folder / "empty.dcm").touch()
    (folder.parent / "loop").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.dcm")
    volume = read(tmp_path / "ct")
    np.testing.assert_array_equal(volume.hu, HU)
    (notice,) = volume.notices
    assert notice.message == "2 files that are no DICOM images were passed over (a/b/empty.dcm, a/b/notes.txt)."


def test_a_zip_and_a_single_file_give_the_series(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"../../{file.name}")
        archive.writestr("viewer.exe", b"MZ")
    volume = read(tmp_path / "ct.zip")
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.source.format == "dicom-zip"
    np.testing.assert_array_equal(read(next(folder.iterdir())).hu, HU)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct", "ct.zip"]


def transferred(syntax: str) -> object:
    def edit(ds: Dataset, _: int) -> None:
        if syntax == RLELossless:
            ds.compress(RLELossless)
            return
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    return edit


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_every_syntax_gives_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    np.testing.assert_array_equal(read(dicom_folder(tmp_path / "ct", HU, transferred(syntax))).hu, HU)


@pytest.mark.parametrize("name", ["JPEG-LL.dcm", "693_J2KR.dcm", "JLSL_16_15_1_1F.dcm"])
def test_real_codecs_decode_as_simpleitk_does(data: Path, name: str) -> None:
    path = data / "odd" / "pydicom_odd" / name
    with at_hand():
        header = parse(path.read_bytes(), name)
        assert header is not None
        image = Slice(name, header)
        shape = image.whole("Rows"), image.whole("Columns")
        kind = "<i2" if image.whole("PixelRepresentation") else "<u2"
        stored = np.frombuffer(decompressed(image, (1, *shape)), kind).reshape(shape)
    hu = stored * float(image.text("RescaleSlope") or 1) + float(image.text("RescaleIntercept") or 0)
    np.testing.assert_array_equal(hu, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0])


def test_slope_and_intercept_are_each_slice_s_own(tmp_path: Path) -> None:
    stored = np.random.default_rng(1).integers(0, 1600, HU.shape)

    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = f"{0.5 + k / 10:.1f}", -1000 + k
        ds.PixelData = stored[k].astype(np.uint16).tobytes()

    slope = 0.5 + np.arange(20)[:, None, None] / 10
    expected = np.rint(stored * np.round(slope, 1) + (np.arange(20)[:, None, None] - 1000))
    np.testing.assert_array_equal(read(dicom_folder(tmp_path / "ct", HU, edit)).hu, expected)


def test_twelve_bits_are_masked_and_sign_extended(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.RescaleIntercept = 12, 11, 1, 0
        noise = np.uint16(0xA000) if k % 2 else np.uint16(0)
        ds.PixelData = ((HU[k].astype(np.uint16) & 0x0FFF) | noise).tobytes()

    np.testing.assert_array_equal(read(dicom_folder(tmp_path / "ct", HU, edit)).hu, HU)


def test_padding_becomes_minus_1024_whatever_it_scales_to(tmp_path: Path) -> None:
    marked = HU.copy()
    marked[:, :9, :9] = 500

    def edit(ds: Dataset, k: int) -> None:
        ds.add_new("PixelPaddingValue", "US", 1524)
        ds.PixelData = (marked[k].astype(np.int32) + 1024).astype(np.uint16).tobytes()

    volume = read(dicom_folder(tmp_path / "ct", HU, edit))
    assert (volume.hu[:, :9, :9] == -1024).all()
    assert "padding" in {n.code for n in volume.notices}


def test_the_larger_ct_is_read_and_the_rest_named(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "ct" / "large", HU)
    dicom_folder(tmp_path / "ct" / "small", HU[:17], series="1.2.9")
    dicom_folder(tmp_path / "ct" / "mr", chest_like(3), lambda ds, _: setattr(ds, "Modality", "MR"), series="1.2.8")
    volume = read(tmp_path / "ct")
    assert volume.source.series_uid == SERIES
    assert [s.split()[0] for s in volume.source.skipped_series] == ["1.2.8", "1.2.9"]
    assert len(read(tmp_path / "ct", series="1.2.9").hu) == 17
    with pytest.raises(UsageError, match=r"1\.2\.9"):
        read(tmp_path / "ct", series="1.2.7")
    facts = {f.series_uid: f for f in inspect(tmp_path / "ct")}
    assert (facts["1.2.9"].kernel, facts["1.2.9"].shape_irc) == ("B30f", (17, 160, 150))
    assert "CT alone" in (facts["1.2.8"].refusal or "")


def test_a_localizer_and_copies_are_left_out_with_a_notice(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    shutil.copy(next(folder.iterdir()), folder / "again")
    scout = pydicom.dcmread(next(folder.iterdir()))
    scout.ImageType, scout.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER "], "1.9"
    scout.save_as(folder / "scout")
    volume = read(folder)
    np.testing.assert_array_equal(volume.hu, HU)
    assert {n.code for n in volume.notices} == {"localizer", "copies"}


def test_the_longer_of_two_passes_is_read(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    dicom_folder(tmp_path / "second", chest_like(5)[:17], lambda ds, _: setattr(ds, "AcquisitionNumber", 2))
    for file in (tmp_path / "second").iterdir():
        shutil.copy(file, folder / f"second{file.name}")
    volume = read(folder)
    np.testing.assert_array_equal(volume.hu, HU)
    assert "several-passes" in {n.code for n in volume.notices}


def moved(axis: int, by: float, which: int) -> object:
    def edit(ds: Dataset, k: int) -> None:
        if k == which:
            position = list(ds.ImagePositionPatient)
            position[axis] = position[axis] + by
            ds.ImagePositionPatient = position

    return edit


def changed(**values: object) -> object:
    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in values.items():
            if k == 7:
                if value is None:
                    delattr(ds, keyword)
                else:
                    setattr(ds, keyword, value)

    return edit


def tilted(ds: Dataset, k: int, degrees: float = 15) -> None:
    y = -90.25 + np.tan(np.radians(degrees)) * 5 * k
    ds.ImagePositionPatient = [-100.5, y, 30.125 + 5 * k]


REFUSED = {
    "a missing slice": (lambda ds, k: setattr(ds, "ImageComments", "skip" if k == 9 else ""), "missing between"),
    "uneven steps": (moved(2, 0.9, 7), "varies"),
    "a slice aside": (moved(0, 3.0, 7), "beside"),
    "a drift past any tilt": (lambda ds, k: tilted(ds, k, 40), "40.0 degrees"),
    "two slices at one place": (moved(2, 5.0, 7), "one position"),
    "another matrix": (changed(Rows=150, PixelData=b"\0" * 150 * 150 * 2), "sizes"),
    "another pixel spacing": (changed(PixelSpacing=[1.4, 1.4]), "pixel spacings"),
    "another frame": (changed(FrameOfReferenceUID="1.9"), "frames of reference"),
    "another patient": (changed(PatientID="other"), "more than one patient"),
    "no position": (changed(ImagePositionPatient=None), "ImagePositionPatient"),
    "no slope": (changed(RescaleSlope=None), "RescaleSlope"),
    "slope 0": (changed(RescaleSlope=0), "RescaleSlope is 0"),
    "other unit": (changed(RescaleType="US"), "not HU"),
    "inverted": (changed(PhotometricInterpretation="MONOCHROME1"), "MONOCHROME1"),
    "short pixels": (changed(PixelData=b"\0" * 1000), "1000 bytes"),
    "skewed directions": (lambda ds, _: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 0.3, 1, 0]), "perpendicular"),
    "a projection": (lambda ds, _: setattr(ds, "ImageType", ["DERIVED", "SECONDARY", "MIP"]), "MIP"),
    "many frames": (lambda ds, _: setattr(ds, "NumberOfFrames", 2), "multi-frame"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_would_be_misread_is_refused(tmp_path: Path, name: str) -> None:
    edit, reason = REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(dicom_folder(tmp_path / "ct", HU, edit))  # type: ignore[arg-type]


def test_half_of_the_slices_mirrored_is_refused(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if k >= 10:
            ds.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]

    with pytest.raises(InputRefused, match="directions"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_too_few_slices_and_crops_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="too few"):
        read(dicom_folder(tmp_path / "few", HU[:8]))
    with pytest.raises(InputRefused, match="crop"):
        read(dicom_folder(tmp_path / "crop", HU[:, 50:100, 50:100]))


def test_nothing_of_the_patient_is_kept(tmp_path: Path) -> None:
    volume = read(dicom_folder(tmp_path / "ct", HU))
    assert "Secret" not in repr(volume.source)


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    with pytest.raises(InputRefused, match="damaged zip"):
        read(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(InputRefused, match="no DICOM"):
        read(tmp_path / "bomb.zip")


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_a_real_series_equals_simpleitk_bit_for_bit(data: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(data / "lidc" / f"{name}.zip") as archive:
        for number, member in enumerate(m for m in archive.namelist() if m.endswith(".dcm")):
            (tmp_path / str(number)).write_bytes(archive.read(member))
    volume, reference = read(tmp_path), sitk_series(tmp_path)
    np.testing.assert_array_equal(volume.hu, np.maximum(sitk.GetArrayFromImage(reference), -1024))
    same_place(volume.grid, reference)
    np.testing.assert_array_equal(read(data / "lidc" / f"{name}.zip").hu, volume.hu)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lung-dx/A0001.zip", (64, 512, 512)),
        ("cptac-lscc/C3N-00247.zip", (99, 512, 512)),
        ("4d-lung/113_HM10395.zip", (99, 512, 512)),
    ],
)
def test_other_real_scans_are_read(data: Path, name: str, shape: tuple[int, int, int]) -> None:
    assert read(data / name).grid.shape == shape


@pytest.mark.parametrize("name", ["lungmask_two_slices", "tiny64_thorax_CIP", "lesion_crop_LSTK", "pydicom_odd"])
def test_odd_real_inputs_are_refused(data: Path, name: str) -> None:
    with pytest.raises(InputRefused):
        read(data / "odd" / name)
