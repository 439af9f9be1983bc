"""MetaIO, NIfTI and NRRD against SimpleITK, nibabel and pynrrd; damaged or ambiguous files are refused."""

from __future__ import annotations

import bz2
import gzip
import itertools
import re
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import read
from tests.readers.files import chest_like, image, same_place

HU = chest_like()
OBLIQUE = Rotation.from_euler("xyz", [5, 9, -4], degrees=True).as_matrix()
DIRECTIONS = [OBLIQUE @ np.diag(f) for f in itertools.product([1.0, -1.0], repeat=3)] + [
    OBLIQUE @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nrrd"])
def test_voxels_and_places_equal_simpleitk(tmp_path: Path, suffix: str, direction: np.ndarray) -> None:
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(image(HU, direction), str(path))
    volume = read(path)
    np.testing.assert_array_equal(volume.hu, HU)
    same_place(volume.grid, sitk.ReadImage(str(path)))


@pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nii.gz", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", [sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32])
def test_compression_and_types(tmp_path: Path, suffix: str, compressed: bool, kind: int) -> None:
    path = tmp_path / f"1.2.3{suffix}"
    sitk.WriteImage(sitk.Cast(image(HU), kind), str(path), compressed)
    volume = read(path)
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.source.series_uid == "1.2.3"


def test_a_nifti_of_nibabel_and_a_nrrd_of_pynrrd(tmp_path: Path) -> None:
    """Affine diag(-1.35, -1.4, 5) in RAS: columns to the left, rows to the back."""
    affine = np.diag([-1.35, -1.4, 5.0, 1.0])
    affine[:3, 3] = 100.5, 90.25, 30.125
    nibabel.save(nibabel.Nifti1Image(HU.T, affine), tmp_path / "a.nii.gz")
    header = {"space": "right-anterior-superior", "space directions": affine[:3, :3].T, "space origin": affine[:3, 3]}
    nrrd.write(str(tmp_path / "b.nrrd"), np.asfortranarray(HU.T), header)
    for name in ("a.nii.gz", "b.nrrd"):
        volume = read(tmp_path / name)
        np.testing.assert_array_equal(volume.hu, HU)
        np.testing.assert_allclose(volume.grid.xyz([0, 0, 0]), [-100.5, -90.25, 30.125], atol=1e-4)
        np.testing.assert_allclose(volume.grid.xyz([1, 1, 1]), [-99.15, -88.85, 35.125], atol=1e-4)


def metaio(folder: Path, *changes: tuple[str, str]) -> Path:
    """An .mhd with its .raw, some of the header's text replaced."""
    sitk.WriteImage(image(HU), str(folder / "scan.mhd"))
    text = re.sub("ElementSpacing = .*", "ElementSpacing = 1.35 1.4 5", (folder / "scan.mhd").read_text())
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "scan.mhd").write_text(text)
    return folder / "scan.mhd"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("DimSize = 150 160 20", "DimSize = 150 160 21", "bytes"),
        ("DimSize = 150 160 20", "DimSize = 150 160 19", "bytes"),
        ("DimSize = 150 160 20", "DimSize = 60000 60000 60000", "no volume"),
        ("ElementSpacing = 1.35 1.4 5", "ElementSpacing = 1.35 -1.4 5", "positive"),
        ("ElementSpacing = 1.35 1.4 5", "ElementSpacing = 1,35 1,4 5", "ElementSpacing"),
        ("ElementSpacing = 1.35 1.4 5\n", "", "ElementSpacing"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 2 0 0 0 2 0 0 0 2", "perpendicular"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 1 0 0 0.3 1 0 0 0 1", "perpendicular"),
        ("Offset = ", "Position = 1 2 3\nOffset = ", "twice"),
        ("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True\nElementByteOrderMSB = False", "byte orders"),
        ("ElementDataFile = scan.raw", "ElementDataFile = ../scan.raw", "outside"),
        ("ElementDataFile = scan.raw", "ElementDataFile = none.raw", "not there"),
        ("ElementDataFile = scan.raw", "ElementDataFile = LIST", "join"),
        ("MET_SHORT", "MET_UCHAR", "MET_UCHAR"),
        ("NDims = 3", "NDims = 4", "NDims"),
        ("DimSize = 150 160 20", "DimSize = 150.7 160 20", "DimSize"),
        ("ElementDataFile = scan.raw", "ElementDataFile = scan.raw\nComment = late", "goes on"),
        ("CompressedData = False", "CompressedData = False\nHeaderSize = many", "HeaderSize"),
        ("CompressedData = False", "CompressedData = True", "damaged"),
        ("NDims = 3", "NDims = 3\nElementToIntensityFunctionSlope = 2", "some tools apply"),
        ("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True", "HU"),
    ],
)
def test_a_metaio_header_that_lies_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(InputRefused, match=reason):
        read(metaio(tmp_path, (old, new)))


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_cut_compressed_data_are_refused(tmp_path: Path, keep: float) -> None:
    for name in ("scan.zraw", "scan.nii.gz", "scan.nrrd"):
        path = tmp_path / name.replace("zraw", "mhd")
        sitk.WriteImage(image(HU), str(path), True)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(InputRefused):
            read(path)


def nifti(folder: Path, **fields: object) -> Path:
    made = nibabel.Nifti1Image(HU.T, np.diag([-1.35, -1.4, 5.0, 1.0]))
    made.set_qform(made.affine, 1)
    data = bytearray(made.to_bytes())
    layout = made.header.structarr.dtype
    for name, value in fields.items():
        kind, at = layout.fields[name][:2]
        raw = np.asarray(value, kind.base).tobytes()
        data[at : at + len(raw)] = raw
    (folder / "scan.nii").write_bytes(data)
    return folder / "scan.nii"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"qform_code": 0, "sform_code": 0}, "no sform"),
        ({"srow_x": [-1.35, 0, 0, 40]}, "differently"),
        ({"srow_x": [-1.35, 0.7, 0, 0], "qform_code": 0}, "length|perpendicular"),
        ({"srow_x": [0, 0, 0, 0], "qform_code": 0}, "length"),
        ({"srow_x": [np.nan, 0, 0, 0], "qform_code": 0}, "no number"),
        ({"scl_slope": 0, "scl_inter": -1024}, "scaling"),
        ({"scl_slope": 1, "scl_inter": np.nan}, "scaling"),
        ({"datatype": 2}, "type 2"),
        ({"vox_offset": 0}, "byte 0"),
        ({"vox_offset": 352.5}, "byte 352.5"),
        ({"pixdim": [1, -1.35, 1.4, 5, 1, 1, 1, 1], "qform_code": 0}, "length"),
        ({"pixdim": [1, 0.7, 1.4, 5, 1, 1, 1, 1], "qform_code": 0}, "length"),
    ],
)
def test_a_nifti_header_that_is_ambiguous_is_refused(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InputRefused, match=reason):
        read(nifti(tmp_path, **fields))


def test_nifti_scaling_and_units(tmp_path: Path) -> None:
    stored = ((HU.astype(np.int32) + 1024) * 2).astype(np.int16)
    made = nibabel.Nifti1Image(stored.T, np.diag([-1.35e-3, -1.4e-3, 5e-3, 1.0]))
    made.header.set_xyzt_units("meter")
    data = bytearray(made.to_bytes())
    data[112:120] = np.array([0.5, -1024], np.float32).tobytes()
    (tmp_path / "m.nii").write_bytes(data)
    volume = read(tmp_path / "m.nii")
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.grid.spacing_irc_mm == pytest.approx((5, 1.4, 1.35))


def test_junk_after_a_gzip_and_a_wrong_checksum_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(nifti(tmp_path).read_bytes())
    for name, data in {"junk": whole + b"junk", "sum": whole[:-8] + b"\1\2\3\4" + whole[-4:]}.items():
        (tmp_path / f"{name}.nii.gz").write_bytes(data)
        with pytest.raises(InputRefused):
            read(tmp_path / f"{name}.nii.gz")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("space: left-posterior-superior", "space: 3D-right-handed"),
        ("space directions: (1.35", "spacings: (1.35"),
        ("space origin", "comment origin"),
        ("sizes: 150 160 20", "sizes: 150 160 21"),
        ("endian: little\n", ""),
        ("encoding: raw", "encoding: zrl"),
        ("endian: little", "endian: middle"),
        ("space origin", "axis mins: 0 0 0\nspace origin"),
        ("space origin", "spacings: 1 1 1\nspace origin"),
        ("space origin", "byte skip: many\nspace origin"),
        ("space origin", "byte skip: -7\nspace origin"),
    ],
)
def test_a_nrrd_header_without_place_is_refused(tmp_path: Path, old: str, new: str) -> None:
    sitk.WriteImage(image(HU), str(tmp_path / "scan.nrrd"), False)
    data = (tmp_path / "scan.nrrd").read_bytes()
    assert old.encode() in data
    (tmp_path / "scan.nrrd").write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(InputRefused):
        read(tmp_path / "scan.nrrd")


@pytest.mark.parametrize("encoding", ["ascii", "hex", "bzip2"])
def test_nrrd_encodings_that_simpleitk_or_pynrrd_lack(tmp_path: Path, encoding: str) -> None:
    """Micrometres, and directions set apart by several blanks, too."""
    data = HU.tobytes()
    body = {
        "ascii": " ".join(map(str, HU.ravel().tolist())).encode(),
        "hex": data.hex().encode(),
        "bzip2": bz2.compress(data),
    }[encoding]
    header = f"""NRRD0004
type: short
dimension: 3
sizes: 150 160 20
space: left-anterior-superior
space directions: (1350,0,0)  (0,-1400,0)   (0,0,5000)
space origin: (-100500,90250,30125)
space units: "um" "um" "um"
endian: little
encoding: {encoding}

"""
    (tmp_path / "a.nrrd").write_bytes(header.encode() + body)
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.hu, HU)
    same_place(volume.grid, image(HU))


def test_a_metaio_file_names_sides_that_its_matrix_denies(tmp_path: Path) -> None:
    assert read(metaio(tmp_path)).notices == ()
    changed = read(metaio(tmp_path, ("AnatomicalOrientation = RAI", "AnatomicalOrientation = LPI")))
    assert [n.code for n in changed.notices] == ["sides"]


def test_a_volume_that_unpacks_to_far_more_than_it_says(tmp_path: Path) -> None:
    whole = nifti(tmp_path).read_bytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(whole + bytes(2**26)))
    with pytest.raises(InputRefused, match="longer than"):
        read(tmp_path / "bomb.nii.gz")


def test_a_mask_is_no_ct(tmp_path: Path) -> None:
    sitk.WriteImage(image(np.where(HU > -500, np.int16(40), np.int16(-1000))), str(tmp_path / "x.mha"))
    with pytest.raises(InputRefused, match="different values"):
        read(tmp_path / "x.mha")


def test_not_hu(tmp_path: Path) -> None:
    for values in (HU - HU.min(), (HU > 0).astype(np.int16), np.where(HU > 0, np.nan, HU).astype(np.float32)):
        sitk.WriteImage(image(values), str(tmp_path / "x.mha"))
        with pytest.raises(InputRefused, match=r"HU|numbers"):
            read(tmp_path / "x.mha")


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        read(tmp_path / "none.mhd")
    with pytest.raises(InputRefused, match="holds no DICOM"):
        read(tmp_path)
    sitk.WriteImage(image(HU), str(tmp_path / "a.mhd"))
    np.testing.assert_array_equal(read(tmp_path).hu, HU)
    sitk.WriteImage(image(HU), str(tmp_path / "b.nii"))
    with pytest.raises(InputRefused, match="2 volumes"):
        read(tmp_path)


def test_a_coarse_abdomen_is_no_chest_ct(data: Path) -> None:
    with pytest.raises(InputRefused, match="3 x 3 x 3 mm"):
        read(data / "odd" / "not_chest_TotalSegmentator" / "example_ct.nii.gz")
