"""Which tags of a DICOM image lungscan looks at, and the syntaxes and classes that it knows (DICOM PS3.4 to PS3.6)."""

from __future__ import annotations

from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
"""Starts of the syntaxes that put compressed pixels into explicit little endian: the JPEG family, and RLE."""

ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT)
"""CT Image; Enhanced CT Image and Legacy Converted Enhanced CT Image, whose frames have headers of their own."""

INDEX = "1.2.840.10008.1.3.10"
"""Media Storage Directory: a DICOMDIR."""

_US = {
    *("SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
}
_PADDING = {"PixelPaddingValue", "PixelPaddingRangeLimit"}
_TEXT = {
    *("ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "Manufacturer", "SeriesDescription", "PatientID"),
    *("BodyPartExamined", "SliceThickness", "KVP", "ConvolutionKernel", "PatientPosition", "SeriesInstanceUID"),
    *("AcquisitionNumber", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("NumberOfFrames", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "RescaleType", "Exposure"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "ModalityLUTSequence", "AcquisitionDate", "StudyDate"),
}
NUMBERS = _US | _PADDING
"""Unsigned, or of the pixels' own sign, in 16 bits."""

NAMES = {int(tag): name for name in NUMBERS | _TEXT if (tag := tag_for_keyword(name)) is not None}


def number(value: bytes) -> str:
    """A value of 16 bits as text, whatever type the file gives it."""
    return str(int.from_bytes(value, "little")) if len(value) == 2 else ""


def printable(value: str) -> str:
    """Without control and direction characters, which could forge a line in a terminal or a log."""
    return value if value.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """An element's value as a header's text."""
    value: Any = dataset[keyword].value
    if isinstance(value, bytes):
        return number(value)
    several = isinstance(value, MultiValue | list)
    return printable("\\".join(str(v) for v in value) if several else str("" if value is None else value).strip())
