"""MetaIO, NIfTI and NRRD files that are odd but say where they lie, and those that do not: each against its true place."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from lungscan.errors import InputRefused
from lungscan.readers import read
from tests.readers.files import chest_like, image, same_place
from tests.readers.test_volume_files import metaio, nifti

HU = chest_like()
ORIGIN = (-100.5, -90.25, 30.125)


def codes(path: Path) -> set[str]:
    return {n.code for n in read(path).notices}


def the_scan(path: Path) -> None:
    """Every voxel is there, at its place."""
    volume = read(path)
    np.testing.assert_array_equal(volume.hu, HU)
    same_place(volume.grid, image(HU))


METAIO_READ = {
    "element size alone": (("ElementSpacing", "ElementSize"), {"element-size"}),
    "another element size": (("DimSize", "ElementSize = 9 9 9\nDimSize"), {"element-size"}),
    "most significant byte last": (("BinaryDataByteOrderMSB", "ElementByteOrderMSB"), set()),
    "Rotation": (("TransformMatrix", "Rotation"), set()),
    "Orientation": (("TransformMatrix", "Orientation"), set()),
    "Position": (("Offset", "Position"), set()),
    "Origin": (("Offset", "Origin"), set()),
    "CRLF": (("\n", "\r\n"), set()),
    "a centre of rotation": (("CenterOfRotation = 0 0 0", "CenterOfRotation = 10 20 30"), set()),
    "a byte order mark": (("ObjectType", "\ufeffObjectType"), set()),
    "data from the end": (("DimSize", "HeaderSize = -1\nDimSize"), set()),
    "one volume of four dimensions": (
        ("NDims = 3", "NDims = 4"),
        ("DimSize = 150 160 20", "DimSize = 150 160 20 1"),
        ("ElementSpacing = 1.35 1.4 5", "ElementSpacing = 1.35 1.4 5 1"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"),
        ("Offset = -100.5 -90.25 30.125", "Offset = -100.5 -90.25 30.125 0"),
        set(),
    ),
}


@pytest.mark.parametrize("name", list(METAIO_READ))
def test_a_metaio_header_said_otherwise(tmp_path: Path, name: str) -> None:
    *changes, expected = METAIO_READ[name]
    path = metaio(tmp_path, *changes)  # type: ignore[arg-type]
    the_scan(path)
    assert codes(path) == expected


def test_a_metaio_file_without_offset_counts_from_its_first_voxel(tmp_path: Path) -> None:
    path = metaio(tmp_path, ("Offset = -100.5 -90.25 30.125\n", ""))
    np.testing.assert_array_equal(read(path).grid.origin_xyz_mm, (0, 0, 0))
    assert codes(path) == {"no-offset"}


METAIO_REFUSED = {
    "no spacing": ((("ElementSpacing", "elementspacing"),), "ElementSpacing is 'missing'"),
    "two numbers of spacing": ((("ElementSpacing = 1.35 1.4 5", "ElementSpacing = 1.35 1.4"),), "not 3 numbers"),
    "a spacing of 0": ((("ElementSpacing = 1.35 1.4 5", "ElementSpacing = 1.35 0 5"),), "positive"),
    "an offset that is no number": ((("Offset = -100.5", "Offset = nan"),), "Offset"),
    "a matrix of zeros": ((("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 0 0 0 0 0 0 0 0 0"),), "perpend"),
    "an intensity offset": ((("NDims = 3", "NDims = 3\nElementToIntensityFunctionOffset = -1024"),), "some tools apply"),
    "two volumes": ((("NDims = 3", "NDims = 4"), ("DimSize = 150 160 20", "DimSize = 150 160 10 2")), "one 3-D volume"),
    "one dimension less": ((("NDims = 3", "NDims = 2"),), "NDims 2"),
    "three channels": ((("NDims = 3", "NDims = 3\nElementNumberOfChannels = 3"),), "channels"),
    "a size of 0": ((("DimSize = 150 160 20", "DimSize = 0 160 20"),), "no volume"),
    "a negative size": ((("DimSize = 150 160 20", "DimSize = -150 160 20"),), "no volume"),
    "a size of many digits": ((("DimSize = 150", "DimSize = 1" + "0" * 5000),), "DimSize"),
    "the header as data": ((("ElementDataFile = scan.raw", "ElementDataFile = scan.mhd"),), "bytes"),
    "an absolute path": ((("ElementDataFile = scan.raw", "ElementDataFile = /etc/passwd"),), "outside"),
    "a folder below": ((("ElementDataFile = scan.raw", "ElementDataFile = a/scan.raw"),), "outside"),
    "numbered files": ((("ElementDataFile = scan.raw", "ElementDataFile = s%d.raw 1 20 1"),), "join"),
    "unsigned": ((("MET_SHORT", "MET_USHORT"),), "over 32767|air"),
    "sizes for voxels of twice the bytes": ((("MET_SHORT", "MET_INT"),), "bytes"),
    "an absurd size": ((("DimSize = 150 160 20", "DimSize = 1000 1000 2000"),), "more than a scanner|bytes"),
    "text voxels": ((("BinaryData = True", "BinaryData = False"),), "as text"),
}


@pytest.mark.parametrize("name", list(METAIO_REFUSED))
def test_a_metaio_header_that_cannot_be_believed(tmp_path: Path, name: str) -> None:
    changes, reason = METAIO_REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(metaio(tmp_path, *changes))


def packed(folder: Path, data: bytes, said: int | None = None) -> Path:
    path = metaio(folder, ("CompressedData = False", "CompressedData = True"), ("scan.raw", "scan.zraw"))
    (folder / "scan.zraw").write_bytes(data)
    if said is not None:
        path.write_text(path.read_text().replace("CompressedData", f"CompressedDataSize = {said}\nCompressedData"))
    return path


def test_compressed_metaio_data(tmp_path: Path) -> None:
    whole = zlib.compress(HU.tobytes())
    the_scan(packed(tmp_path, whole))
    the_scan(packed(tmp_path, whole, len(whole)))
    the_scan(packed(tmp_path, gzip.compress(HU.tobytes())))
    for data, said in (
        (whole[:-1] + b"\0", None),
        (whole, len(whole) - 5),
        (whole[:-4], None),
        (zlib.compress(HU.tobytes() + b"\0\0"), None),
        (zlib.compress(HU.tobytes()[:-2]), None),
    ):
        with pytest.raises(InputRefused):
            read(packed(tmp_path, data, said))


@pytest.mark.parametrize("sizes", ["160 150 20", "20 160 150", "160 20 150"])
def test_permuted_sizes_are_not_read_in_silence(tmp_path: Path, sizes: str) -> None:
    """Equal bytes, scrambled rows."""
    path = metaio(tmp_path, ("DimSize = 150 160 20", f"DimSize = {sizes}"))
    try:
        assert "rows" in codes(path)
    except InputRefused:
        assert sizes != "160 150 20"


def test_a_matrix_lists_its_directions_one_after_another(tmp_path: Path) -> None:
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    path = metaio(tmp_path, ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 0 1 0 -1 0 0 0 0 1"))
    np.testing.assert_allclose(read(path).grid.direction, turn, atol=1e-12)
    same_place(read(path).grid, sitk.ReadImage(str(path)))


QFORM = {"sform_code": 0, "qoffset_x": 100.5, "qoffset_y": 90.25, "qoffset_z": 30.125}
NIFTI_REFUSED = {
    "a quaternion over 1": ({"sform_code": 0, "quatern_b": 0.9, "quatern_c": 0.9}, "no rotation"),
    "a quaternion that is no number": ({"sform_code": 0, "quatern_b": np.nan}, "no number"),
    "a pixdim of 0": ({"sform_code": 0, "pixdim": [1, 0, 1.4, 5, 1, 1, 1, 1]}, "length|direction"),
    "another volume in dim 4": ({"dim": [3, 150, 160, 20, 2, 1, 1, 1]}, "dimensions"),
    "four dimensions": ({"dim": [4, 150, 160, 10, 2, 1, 1, 1]}, "dimensions"),
    "five dimensions": ({"dim": [5, 150, 160, 10, 1, 2, 1, 1]}, "dimensions"),
    "negative dimensions": ({"dim": [3, -150, 160, 20, 1, 1, 1, 1]}, "no volume"),
    "colours": ({"datatype": 128}, "type 128"),
    "complex numbers": ({"datatype": 32}, "type 32"),
    "a damaged magic": ({"magic": b"n+2\0"}, "no NIfTI-1"),
    "Analyze": ({"magic": b"\0\0\0\0"}, "Analyze"),
    "infinite offsets": ({"vox_offset": np.inf}, "byte inf"),
    "offsets past the file": ({"vox_offset": 5e5}, "bytes"),
    "a shear": ({"qform_code": 0, "srow_x": [-1.35, 0.0, 0.5, 0], "pixdim": [1, 1.35, 1.4, 5.025, 1, 1, 1, 1]}, "perpend"),
    "place beyond any room": ({"qform_code": 0, "srow_x": [-1.35, 0, 0, 1e30]}, "no number|far too large"),
    "micrometres said to be metres": ({"xyzt_units": 1}, "no chest CT has"),
    "an unknown unit": ({"xyzt_units": 5}, "no sform"),
    "slope infinite": ({"scl_slope": np.inf, "scl_inter": 0}, "scaling"),
}


@pytest.mark.parametrize("name", list(NIFTI_REFUSED))
def test_a_nifti_header_that_cannot_be_believed(tmp_path: Path, name: str) -> None:
    fields, reason = NIFTI_REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(nifti(tmp_path, **fields))  # type: ignore[arg-type]


def made(**codes: int) -> nibabel.Nifti1Image:
    affine = np.diag([-1.35, -1.4, 5.0, 1.0])
    affine[:3, 3] = 100.5, 90.25, 30.125
    out = nibabel.Nifti1Image(HU.T, affine)
    out.set_sform(affine, codes.get("sform", 1))
    out.set_qform(affine, codes.get("qform", 1))
    return out


@pytest.mark.parametrize("forms", [{"sform": 0, "qform": 1}, {"sform": 2, "qform": 0}, {"sform": 1, "qform": 1}])
def test_a_nifti_file_lies_where_its_form_says(tmp_path: Path, forms: dict[str, int]) -> None:
    nibabel.save(made(**forms), tmp_path / "a.nii.gz")
    the_scan(tmp_path / "a.nii.gz")


def test_nifti_files_said_otherwise(tmp_path: Path) -> None:
    """Big endian, a pair, a fourth axis of size 1, an extension, gzip members in a row, zeros at the end."""
    swapped = made().as_bytes() if hasattr(made(), "as_bytes") else made().to_bytes()
    (tmp_path / "plain.nii").write_bytes(swapped)
    big = nibabel.Nifti1Image(HU.T.astype(">i2"), made().affine, made().header.as_byteswapped(">"))
    nibabel.save(big, tmp_path / "big.nii")
    nibabel.save(nibabel.Nifti1Pair(HU.T, made().affine), tmp_path / "pair.hdr")
    nibabel.save(nibabel.Nifti1Image(HU.T[..., None], made().affine), tmp_path / "four.nii")
    noted = made()
    noted.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment"))
    nibabel.save(noted, tmp_path / "noted.nii.gz")
    whole = (tmp_path / "plain.nii").read_bytes()
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(whole[:5000]) + gzip.compress(whole[5000:]))
    (tmp_path / "zeros.nii").write_bytes(whole + bytes(100))
    for name in ("plain.nii", "big.nii", "pair.hdr", "four.nii", "noted.nii.gz", "members.nii.gz", "zeros.nii"):
        the_scan(tmp_path / name)
    (tmp_path / "pair.img").unlink()
    with pytest.raises(InputRefused, match=r"needs pair\.img"):
        read(tmp_path / "pair.hdr")


def test_an_extension_of_a_false_size(tmp_path: Path) -> None:
    noted = made()
    noted.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment"))
    data = bytearray(noted.to_bytes())
    for size in (0, 17, -16, 10**6):
        data[352:356] = struct.pack("<i", size)
        (tmp_path / "a.nii").write_bytes(data)
        with pytest.raises(InputRefused, match="false size"):
            read(tmp_path / "a.nii")


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        sitk.WriteImage(image(np.where(HU > 50, value, HU).astype(np.float32)), str(tmp_path / "a.nii"))
        with pytest.raises(InputRefused, match="not numbers"):
            read(tmp_path / "a.nii")


def test_a_gzip_cut_at_its_checksum(tmp_path: Path) -> None:
    whole = gzip.compress(made().to_bytes())
    for cut in (4, 8, len(whole) // 2):
        (tmp_path / "a.nii.gz").write_bytes(whole[:-cut])
        with pytest.raises(InputRefused, match=r"end early|damaged"):
            read(tmp_path / "a.nii.gz")


NRRD = """NRRD0005
type: short
dimension: 3
sizes: 150 160 20
space: left-posterior-superior
space directions: (1.35,0,0) (0,1.4,0) (0,0,5)
space origin: (-100.5,-90.25,30.125)
endian: little
encoding: raw
"""


def nrrd_file(folder: Path, *changes: tuple[str, str], body: bytes = HU.tobytes(), suffix: str = ".nrrd") -> Path:
    text = NRRD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / f"a{suffix}").write_bytes(text.encode() + b"\n" + body)
    return folder / f"a{suffix}"


def with_bytes(folder: Path, data: bytes) -> tuple[str, str]:
    (folder / "a.raw").write_bytes(data)
    return "encoding: raw", "encoding: raw\ndata file: a.raw"


def test_nrrd_files_said_otherwise(tmp_path: Path) -> None:
    flipped = ("(1.35,0,0) (0,1.4,0)", "(-1.35,0,0) (0,-1.4,0)"), ("(-100.5,-90.25", "(100.5,90.25")
    for short in ("right-anterior-superior", "RAS"):
        the_scan(nrrd_file(tmp_path, ("left-posterior-superior", short), *flipped))
    for short in ("left-anterior-superior", "LAS"):
        rows = ("(0,1.4,0)", "(0,-1.4,0)"), ("-90.25", "90.25")
        the_scan(nrrd_file(tmp_path, ("left-posterior-superior", short), *rows))
    the_scan(nrrd_file(tmp_path, ("little", "big"), body=HU.astype(">i2").tobytes()))
    the_scan(nrrd_file(tmp_path, ("encoding: raw", "encoding: raw\nbyte skip: 7"), body=b"1234567" + HU.tobytes()))
    the_scan(nrrd_file(tmp_path, ("encoding: raw", "encoding: raw\nbyte skip: -1"), body=b"1234567" + HU.tobytes()))
    the_scan(nrrd_file(tmp_path, ("encoding: raw", "encoding: raw\nline skip: 2"), body=b"one\ntwo\n" + HU.tobytes()))
    the_scan(nrrd_file(tmp_path, ("encoding: raw", "encoding: gzip"), body=gzip.compress(HU.tobytes())))
    the_scan(nrrd_file(tmp_path, with_bytes(tmp_path, HU.tobytes()), body=b"", suffix=".nhdr"))
    four = ("dimension: 3", "dimension: 4"), ("150 160 20", "150 160 20 1"), ("(0,0,5)", "(0,0,5) none")
    the_scan(nrrd_file(tmp_path, *four))


def test_pynrrd_s_rows_are_the_affine_s_columns(tmp_path: Path) -> None:
    """A matrix that is not symmetric, so that its transpose would be seen."""
    direction = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    header = {
        "space": "left-posterior-superior",
        "space directions": (direction * [1.35, 1.4, 5.0]).T,
        "space origin": np.array(ORIGIN),
    }
    nrrd.write(str(tmp_path / "a.nrrd"), np.asfortranarray(HU.T), header)
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.hu, HU)
    same_place(volume.grid, image(HU, direction))


NRRD_REFUSED = {
    "a sheared direction": ((("(0,1.4,0)", "(0.5,1.4,0)"),), "perpendicular"),
    "a direction of 0": ((("(0,1.4,0)", "(0,0,0)"),), "length of 0"),
    "a direction that is no number": ((("(0,1.4,0)", "(0,nan,0)"),), "how it lies"),
    "none on an axis of the body": ((("(0,0,5)", "none"),), "how it lies"),
    "no space": ((("space: left-posterior-superior\n", ""),), "how it lies"),
    "the scanner's space": ((("left-posterior-superior", "scanner-xyz"),), "how it lies"),
    "two volumes": (
        (("dimension: 3", "dimension: 4"), ("150 160 20", "150 160 10 2"), ("(0,0,5)", "(0,0,5) none")),
        "4 dim",
    ),
    "a vector a voxel": (
        (("dimension: 3", "dimension: 4"), ("150 160 20", "3 150 160 20"), ("s: (1", "s: none (1")),
        "4 dim",
    ),
    "a field twice": ((("type: short", "type: short\ntype: short"),), "twice"),
    "more bytes": ((("sizes: 150 160 20", "sizes: 150 160 19"),), "bytes"),
    "a file above": ((("encoding: raw", "encoding: raw\ndata file: ../a.raw"),), "outside"),
    "an absolute file": ((("encoding: raw", "encoding: raw\ndata file: /etc/passwd"),), "outside"),
    "a list of files": ((("encoding: raw", "encoding: raw\ndata file: LIST"),), "join"),
    "numbered files": ((("encoding: raw", "encoding: raw\ndata file: a%02d.raw 1 20 1"),), "join"),
    "unknown units": ((("encoding: raw", 'encoding: raw\nspace units: "inch" "inch" "inch"'),), "how it lies"),
    "more lines skipped than there are": ((("encoding: raw", "encoding: raw\nline skip: 999999"),), "skips"),
    "brackets without end": ((("(0,0,5)", "(" * 60_000),), "characters"),
    "another type": ((("type: short", "type: block"),), "not HU"),
    "sizes of many digits": ((("150 160 20", "9" * 900 + " 160 20"),), "no volume|how it lies|too much"),
}


@pytest.mark.parametrize("name", list(NRRD_REFUSED))
def test_a_nrrd_header_that_cannot_be_believed(tmp_path: Path, name: str) -> None:
    changes, reason = NRRD_REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(nrrd_file(tmp_path, *changes))


def test_damaged_nrrd_data(tmp_path: Path) -> None:
    whole = gzip.compress(HU.tobytes())
    for body in (whole[:-9], whole[:-8] + b"\1\2\3\4" + whole[-4:], whole + b"junk"):
        with pytest.raises(InputRefused):
            read(nrrd_file(tmp_path, ("encoding: raw", "encoding: gzip"), body=body))


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """64 GB that no disk holds: sizes are compared first."""
    path = metaio(tmp_path)
    with (tmp_path / "scan.raw").open("r+b") as file:
        file.truncate(2**36)
    with pytest.raises(InputRefused, match="68719476736 bytes"):
        read(path)
    for name in ("a.mha", "a.nii", "a.nii.gz", "a.nrrd"):
        sitk.WriteImage(image(HU), str(tmp_path / name))
        with (tmp_path / name).open("r+b") as file:
            file.truncate(2**36)
        with pytest.raises(InputRefused, match=r"hold\w* 68719\d{6} bytes"):  # without a header, where there is one
            read(tmp_path / name)


def test_the_widest_pixel_passes_in_float32_too(tmp_path: Path) -> None:
    """NIfTI holds spacing, and the rows of its matrix, in float32: what was written as 1.5 mm comes back as 1.5000001."""
    made = image(HU, Rotation.from_euler("xyz", (3, 5, 7), degrees=True).as_matrix())
    made.SetSpacing((1.5, 1.5, 5.0))
    for name in ("a.nii.gz", "a.nrrd", "a.mha"):
        sitk.WriteImage(made, str(tmp_path / name))
        assert read(tmp_path / name).grid.spacing_irc_mm == pytest.approx((5.0, 1.5, 1.5), abs=1e-5)
