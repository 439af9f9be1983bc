"""The few tags of a DICOM image that lungscan needs, and its pixels' bytes.

Files in explicit or implicit little endian, deflated ones too, are walked element by element (DICOM PS3.5, chapter 7), in a
tenth of the time of a full parse. Whatever is unusual (compressed pixels, big endian, a missing preamble) goes to pydicom.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from lungscan.errors import InputRefused

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT)
"""CT Image; Enhanced CT Image and Legacy Converted Enhanced CT Image, whose frames have headers of their own."""

INFLATED_BYTES = 2**28
"""The most that one deflated file may hold."""

NESTED = 32
"""Sequences within sequences that are stepped over; what nests deeper is no CT of a scanner."""

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
    *("LossyImageCompression", "LossyImageCompressionRatio", "ModalityLUTSequence"),
}
_NAMES = {int(tag): name for name in _US | _PADDING | _TEXT if (tag := tag_for_keyword(name)) is not None}
_NUMBERS = _US | _PADDING
_PIXEL_DATA, _SYNTAX = 0x7FE00010, 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
_SHORT = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN"),
    *(b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
_UNDEFINED = 0xFFFFFFFF
_HEAD, _WIDE = struct.Struct("<HH2sH"), struct.Struct("<I")
_BARE = struct.Struct("<HHI")


@dataclass(frozen=True)
class Header:
    """Tags by keyword as text, several values joined by backslashes; numbers are parsed where they are used.

    pixels  : the bytes of PixelData, None where there are none
    dataset : the whole object, for files whose pixels need a decoder
    bare    : the file lacks DICOM's preamble
    """

    tags: dict[str, str]
    syntax: str
    pixels: memoryview | None
    dataset: pydicom.Dataset | None = None
    bare: bool = False


class _Unusual(Exception):
    """Something that the walk leaves to pydicom."""


def looks_like_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file may start a DICOM object."""
    return head[128:132] == b"DICM" or head[:2] in (b"\x08\x00", b"\x02\x00")


def parse(data: bytes, name: str) -> Header | None:
    """Header of a file's bytes; None for what is no DICOM object, or one that is an index (DICOMDIR).

    Raises InputRefused for a damaged DICOM file that may be a slice of a CT; another is no DICOM object.
    """
    if name.rsplit("/", 1)[-1].upper() == "DICOMDIR":
        return None
    if data[128:132] != b"DICM":
        plausible = data[:2] in (b"\x08\x00", b"\x02\x00") and data[2:4] in (b"\0\0", b"\5\0", b"\x08\0", b"\x16\0")
        return _parsed(data, name, bare=True) if plausible else None
    try:
        header = _walked(data, name)
        if header.tags.get("SOPClassUID") not in ENHANCED_CT:
            return header
    except (_Unusual, struct.error):
        pass
    return _parsed(data, name, bare=False)


def _walked(data: bytes, name: str) -> Header:
    """The fast way. Raises _Unusual or struct.error when something is met that it does not know, or the bytes end."""
    tags: dict[str, str] = {}
    syntax, data, at = _meta(data, name)
    explicit = syntax != IMPLICIT
    last = 0
    while True:
        if explicit:
            group, element, vr, length = _HEAD.unpack_from(data, at)
            at += 8
            if vr in _LONG:
                (length,) = _WIDE.unpack_from(data, at)
                at += 4
            elif vr not in _SHORT:
                raise _Unusual
        else:
            vr = b"SQ"
            group, element, length = _BARE.unpack_from(data, at)
            at += 8
        tag = group << 16 | element
        if tag <= last:
            raise _Unusual
        last = tag
        if length == _UNDEFINED:
            if tag == _PIXEL_DATA or vr != b"SQ":
                raise _Unusual
            end = _sequence_end(data, at, explicit, 0)
            value = b""
        else:
            end = at + length
            if end > len(data):
                raise _Unusual
            if tag == _PIXEL_DATA:
                return Header(tags, syntax, memoryview(data)[at:end])
            value = data[at:end] if tag in _NAMES else b""
        if tag in _NAMES:
            keyword = _NAMES[tag]
            tags[keyword] = _number(value) if keyword in _NUMBERS else value.decode("utf-8", "replace").strip("\0 ")
        at = end


def _meta(data: bytes, name: str) -> tuple[str, bytes, int]:
    """The transfer syntax, the bytes to walk on in (inflated, where they were deflated), and where the image starts."""
    at, syntax = 132, ""
    while data[at : at + 2] == b"\x02\x00":
        group, element, vr, length = _HEAD.unpack_from(data, at)
        at += 8
        if vr in _LONG:
            (length,) = _WIDE.unpack_from(data, at)
            at += 4
        if group << 16 | element == _SYNTAX:
            syntax = data[at : at + length].rstrip(b"\0 ").decode("ascii", "replace")
        at += length
    if syntax == DEFLATED:
        return syntax, _inflated(data[at:], name), 0
    if syntax not in (IMPLICIT, EXPLICIT):
        raise _Unusual
    return syntax, data, at


def _inflated(data: bytes, name: str) -> bytes:
    inflater = zlib.decompressobj(wbits=-15)
    try:
        whole = inflater.decompress(data, INFLATED_BYTES)
    except zlib.error as error:
        raise InputRefused(f"{name} is damaged ({error}); get a whole copy.") from error
    if not inflater.eof:
        raise InputRefused(f"{name} is cut short, or unpacks to more than {INFLATED_BYTES} bytes; get a whole copy.")
    return whole


def _sequence_end(data: bytes, at: int, explicit: bool, depth: int) -> int:
    """Where a sequence of undefined length that starts at `at` ends."""
    if depth > NESTED:
        raise _Unusual
    while True:
        group, element, length = _BARE.unpack_from(data, at)
        at += 8
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise _Unusual
        at = _item_end(data, at, explicit, depth) if length == _UNDEFINED else at + length


def _item_end(data: bytes, at: int, explicit: bool, depth: int) -> int:
    while True:
        group, element, length = _BARE.unpack_from(data, at)
        if group << 16 | element == _ITEM_END:
            return at + 8
        vr = b"SQ"
        if explicit:
            _, _, vr, length = _HEAD.unpack_from(data, at)
            if vr in _LONG:
                at += 4
                (length,) = _WIDE.unpack_from(data, at + 4)
            elif vr not in _SHORT:
                raise _Unusual
        at += 8
        if length != _UNDEFINED:
            at += length
        elif vr == b"SQ":
            at = _sequence_end(data, at, explicit, depth + 1)
        else:
            raise _Unusual


def _number(value: bytes) -> str:
    return str(int.from_bytes(value, "little")) if len(value) == 2 else ""


def _parsed(data: bytes, name: str, *, bare: bool) -> Header | None:
    """The slow way, by pydicom."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that are checked where they are used
            dataset = pydicom.dcmread(BytesIO(data), force=bare)
            if "DirectoryRecordSequence" in dataset or _is_index(dataset):
                return None
            if "SOPClassUID" not in dataset:
                raise ValueError("it does not say what it is")
            tags = {keyword: text(dataset, keyword) for keyword in _NAMES.values() if keyword in dataset}
            syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", IMPLICIT))
            raw = dataset.PixelData if "PixelData" in dataset else None
    except Exception as error:  # pydicom raises whatever broken bytes lead it into
        if bare or _says(data) not in ("", *CT_CLASSES):
            return None
        why = str(error).partition("\n")[0] or type(error).__name__
        raise InputRefused(f"{name} is a damaged DICOM file ({why}); get a whole copy, or take it away.") from error
    return Header(tags, syntax, None if raw is None else memoryview(raw), dataset, bare)


def _says(data: bytes) -> str:
    """The class that a file's meta information names, as far as it is there."""
    at = data.find(b"\x02\x00\x02\x00UI", 132, 1024)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    return data[at + 8 : at + 8 + length].decode("ascii", "replace").rstrip("\0 ") if at > 0 else ""


def _is_index(dataset: pydicom.Dataset) -> bool:
    return getattr(dataset.file_meta, "MediaStorageSOPClassUID", "") == "1.2.840.10008.1.3.10"


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """An element's value as a header's text."""
    value: Any = dataset[keyword].value
    if isinstance(value, bytes):
        return _number(value)
    several = isinstance(value, MultiValue | list)
    return "\\".join(str(v) for v in value) if several else str("" if value is None else value).strip()
