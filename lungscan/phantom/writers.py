"""Writing a volume as MetaIO, NRRD, NIfTI or DICOM, in any layout of its axes. The same volume gives the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungscan import files
from lungscan.errors import UsageError
from lungscan.images import write_image
from lungscan.phantom.uids import uid
from lungscan.volume import AIR_HU, Grid, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = {"mhd": ".mhd", "dicom": "", "nifti": ".nii.gz", "nrrd": ".nrrd"}
"""The formats, and what follows the series UID in the name: DICOM makes a folder of that name."""

_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
_COMPRESSION_LEVEL = 2  # noise hardly compresses; higher levels take four times as long


def check(format_: str, orientation: str) -> None:
    """Raise UsageError for a format or an orientation code that does not exist."""
    if format_ not in SUFFIXES:
        raise UsageError(f"--format {format_} is not known: choose one of {', '.join(SUFFIXES)}.")
    axes = sorted(_LETTERS[letter][0] for letter in orientation if letter in _LETTERS)
    if len(orientation) != 3 or axes != [0, 1, 2]:
        raise UsageError(
            f"--orientation {orientation} is no orientation: give one letter each of L or R, P or A and S or I, such as LPS."
        )


def orient(volume: Volume, orientation: str) -> Volume:
    """The same voxels at the same patient positions, laid out along other axes.

    `orientation` names the direction towards which column, row and slice index increase: LPS is to the left, to the back
    and to the head. Axes are swapped and flipped, nothing is interpolated; all 48 codes are allowed, mirrored ones too.
    """
    check("mhd", orientation)
    canonical = volume.canonical()
    grid = canonical.grid
    axes, signs = zip(*(_LETTERS[letter] for letter in orientation), strict=True)
    hu = canonical.hu.transpose([2 - axes[2 - k] for k in range(3)])
    spacing_xyz = [grid.spacing_irc_mm[2 - axis] for axis in axes]
    direction = grid.direction[:, axes] * signs
    origin = np.asarray(grid.origin_xyz_mm)
    for k, sign in enumerate(signs):
        if sign < 0:
            length = (hu.shape[2 - k] - 1) * spacing_xyz[k]
            origin = origin - direction[:, k] * length
            hu = np.flip(hu, 2 - k)
    si, sr, sc = spacing_xyz[::-1]
    x, y, z = (float(v) for v in origin)
    return replace(canonical, hu=hu, grid=Grid(hu.shape, (si, sr, sc), (x, y, z), direction))


def write(volume: Volume, folder: Path, format: str = "mhd", patient: str = "PHANTOM") -> Path:  # noqa: A002
    """Write a volume into a folder that exists, named by its series UID, and return the file, or DICOM's folder.

    Everything is written beside and then renamed, the header last. Raises UsageError for an unknown format, NotWritten.
    """
    check(format, "LPS")
    name = volume.source.series_uid + SUFFIXES[format]
    with files.workshop(folder) as bench:
        if format == "dicom":
            (bench / name).mkdir()
            _write_dicom(volume, bench / name, patient)
        else:
            write_image(volume.hu, volume.grid, bench / name, _COMPRESSION_LEVEL)
        for made in sorted(bench.iterdir(), key=lambda p: p.name == name):
            files.move(made, folder / made.name)
    return folder / name


def _write_dicom(volume: Volume, folder: Path, patient: str) -> None:
    """One uncompressed CT image a slice, 12 bits stored, as scanners write them."""
    slices, rows, columns = volume.grid.shape
    common = _series(volume, patient)
    stored = (np.clip(volume.hu, AIR_HU, AIR_HU + 4095) - AIR_HU).astype("<u2")
    along_row, along_column = volume.grid.direction[:, 0], volume.grid.direction[:, 1]
    for i in range(slices):
        common.SOPInstanceUID = uid(volume.source.series_uid, i)
        common.file_meta.MediaStorageSOPInstanceUID = common.SOPInstanceUID
        common.InstanceNumber = i + 1
        position = volume.grid.xyz((i, 0, 0))
        common.ImagePositionPatient = [_decimal(v) for v in position]
        common.ImageOrientationPatient = [_decimal(v) for v in (*along_row, *along_column)]
        common.SliceLocation = _decimal(float(position @ np.cross(along_row, along_column)))
        common.Rows, common.Columns = rows, columns
        common.PixelData = np.ascontiguousarray(stored[i]).tobytes()
        common.save_as(folder / f"{i + 1:04d}.dcm", enforce_file_format=True)


def _series(volume: Volume, patient: str) -> Dataset:
    """What all slices of a series share."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    series = volume.source.series_uid
    out = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID = CTImageStorage
    out.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    out.Modality = "CT"
    out.Manufacturer = "lungscan phantom"
    out.SeriesDescription = "synthetic chest CT"
    out.PatientName = out.PatientID = patient
    out.PatientBirthDate = out.PatientSex = out.StudyDate = out.StudyTime = out.AccessionNumber = out.StudyID = ""
    out.ReferringPhysicianName = out.PositionReferenceIndicator = ""
    out.BodyPartExamined = "CHEST"
    out.PatientPosition = "HFS"
    out.KVP = "120"
    out.ConvolutionKernel = volume.source.facts.get("kernel", "")
    out.StudyInstanceUID = uid(series, "study")
    out.FrameOfReferenceUID = uid(series, "frame of reference")
    out.SeriesInstanceUID = series
    out.SeriesNumber = out.AcquisitionNumber = 1
    si, sr, sc = volume.grid.spacing_irc_mm
    out.PixelSpacing = [_decimal(sr), _decimal(sc)]
    out.SliceThickness = out.SpacingBetweenSlices = _decimal(si)
    out.RescaleIntercept, out.RescaleSlope, out.RescaleType = AIR_HU, 1, "HU"
    out.WindowCenter, out.WindowWidth = -600, 1500
    out.SamplesPerPixel, out.PhotometricInterpretation, out.PixelRepresentation = 1, "MONOCHROME2", 0
    out.BitsAllocated, out.BitsStored, out.HighBit = 16, 12, 11
    return out


def _decimal(value: float) -> str:
    """DICOM's decimal string of at most 16 characters."""
    return f"{float(value) + 0.0:.10f}"[:16]
