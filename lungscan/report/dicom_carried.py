"""What a DICOM object takes over from the header of an image.

Only the elements named here, so nothing else that names the patient, a physician or a hospital gets through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from lungscan.errors import InputRefused
from lungscan.readers.dicom_header import ENHANCED_CT
from lungscan.volume import Array, Grid

REQUIRED = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "Rows", "Columns"),
)
CARRIED = (
    *("ImageType", "PositionReferenceIndicator", "NumberOfFrames", "ImagePositionPatient", "Manufacturer"),
    *("ManufacturerModelName", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate")
TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime")
IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("ReferringPhysicianName", "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod"),
)
"""What names the patient and the order."""

NAMED = {"name": "PatientName", "id": "PatientID", "birth_date": "PatientBirthDate"}
"""What the JSON report tells of these, by its own keys."""

PRESENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
    "ReferringPhysicianName",
)
"""Elements that every object of a study has, if empty (type 2)."""

WITHHELD = "Identity left out by lungscan; UIDs and dates kept"

_FORMS = {
    **dict.fromkeys(("PatientBirthDate", *DATES), r"\d{8}"),
    **dict.fromkeys(TIMES, r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "PatientSex": "[MFO]",
    "PatientIdentityRemoved": "YES|NO",
}


def carried(header: Dataset, name: str, grid: Grid, positions_xyz_mm: Sequence[Array]) -> Dataset:
    """What may be known of an image, its axes and steps those of the grid, its patient's module empty.

    positions_xyz_mm : of its frames, used of an enhanced CT alone
    Raises InputRefused where nothing says what the image belongs to.
    """
    for keyword in REQUIRED:
        if not header.get(keyword):
            raise InputRefused(f"{name} has no {keyword}: there is nothing that a DICOM SEG or SR could belong to.")
    image = chosen(header, (*REQUIRED, *CARRIED, *DATES, *TIMES))
    image.Modality, image.PatientIdentityRemoved, image.DeidentificationMethod = "CT", "YES", WITHHELD
    for keyword in PRESENT:
        if keyword not in image:
            setattr(image, keyword, "")
    step, row_step, column_step = (format_number_as_ds(mm) for mm in grid.spacing_irc_mm)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [format_number_as_ds(v) for v in grid.direction[:, :2].T.ravel()]
    measures.PixelSpacing = [row_step, column_step]
    measures.SliceThickness = measures.SpacingBetweenSlices = step
    if header.SOPClassUID not in ENHANCED_CT:
        image.update(orientation)
        image.update(measures)
        return image
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_own(position) for position in positions_xyz_mm]
    return image


def _own(position_xyz_mm: Array) -> Dataset:
    position, own = Dataset(), Dataset()
    position.ImagePositionPatient = [format_number_as_ds(mm) for mm in position_xyz_mm]
    own.PlanePositionSequence = [position]
    return own


def chosen(header: Dataset, keywords: Iterable[str]) -> Dataset:
    """Some elements of a header, without those whose value breaks DICOM's rules."""
    out = Dataset()
    for keyword in keywords:
        value = header.get(keyword)
        if value is not None and re.fullmatch(_FORMS.get(keyword, ".*"), str(value), re.DOTALL):
            setattr(out, keyword, str(value) if header[keyword].VR == "PN" else value)
    return out
