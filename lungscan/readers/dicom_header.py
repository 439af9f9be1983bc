"""The few tags of a DICOM image that lungscan needs, and its pixels' bytes.

Files in little endian, deflated and compressed ones too, are walked element by element (DICOM PS3.5, chapter 7), in a tenth
of the time of a full parse. Whatever is unusual (big endian, a missing preamble) goes to pydicom, in a child process.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from lungscan.errors import InputRefused
from lungscan.readers.apart import child
from lungscan.readers.dicom_tags import (
    COMPRESSED,
    CT_CLASSES,
    DEFLATED,
    ENHANCED_CT,
    EXPLICIT,
    IMPLICIT,
    INDEX,
    NAMES,
    NUMBERS,
    number,
    printable,
)

__all__ = ["CT_CLASSES", "ENHANCED_CT", "Header", "looks_like_dicom", "parse"]

INFLATED_BYTES, INFLATED_RATIO = 2**24, 50
"""What one deflated file may always hold, and how many times its own size beyond that."""

NESTED = 32
"""Sequences within sequences that are stepped over; what nests deeper is no CT of a scanner."""

HEADER_BYTES = 2**22
"""How far the walk goes before the pixels, in a tenth of a second at the most."""

_PIXEL_DATA, _SYNTAX, _CLASS = 0x7FE00010, 0x00020010, 0x00020002
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

    pixels : the bytes of uncompressed PixelData, None where there are none
    file   : what the child must see: the whole file where its pixels are compressed, and what stands ahead of them in an
             enhanced CT, whose frames have headers of their own
    bare   : the file lacks DICOM's preamble
    """

    tags: dict[str, str]
    syntax: str
    pixels: memoryview | None
    file: bytes | None = None
    bare: bool = False

    @property
    def has_pixels(self) -> bool:
        return self.pixels is not None or self.compressed

    @property
    def compressed(self) -> bool:
        return self.syntax.startswith(COMPRESSED) and self.file is not None

    @property
    def held_bytes(self) -> int:
        """What this keeps in memory."""
        pixels = 0 if self.pixels is None else memoryview(self.pixels.obj).nbytes
        return pixels + len(self.file or b"")


class _Unusual(Exception):
    """Something that the walk leaves to pydicom."""


class _Index(Exception):
    """The file is a DICOMDIR."""


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
        return _walked(data, name)
    except _Index:
        return None
    except (_Unusual, struct.error):
        return _parsed(data, name, bare=False)


def _walked(data: bytes, name: str) -> Header:
    """The fast way. Raises _Unusual or struct.error when something is met that it does not know, or the bytes end."""
    tags: dict[str, str] = {}
    whole = data
    syntax, data, at = _meta(data, name)
    explicit = syntax != IMPLICIT
    last = 0
    while at < len(data):
        start = at
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
        if tag <= last or start > HEADER_BYTES:
            raise _Unusual
        last = tag
        if tag == _PIXEL_DATA:
            return _with_pixels(tags, syntax, whole, data, (start, at, length))
        if length == _UNDEFINED:
            if vr != b"SQ":
                raise _Unusual
            end = _sequence_end(data, at, explicit, 0)
            value = b""
        else:
            end = at + length
            if end > len(data):
                raise _Unusual
            value = data[at:end] if tag in NAMES else b""
        if tag in NAMES:
            keyword = NAMES[tag]
            tags[keyword] = number(value) if keyword in NUMBERS else printable(value.decode("utf-8", "replace").strip("\0 "))
        at = end
    return Header(tags, syntax, None)


def _with_pixels(tags: dict[str, str], syntax: str, whole: bytes, data: bytes, where: tuple[int, int, int]) -> Header:
    """The header of an image whose pixels start at `where`: their element, their value, its length."""
    start, at, length = where
    if syntax.startswith(COMPRESSED):
        if length != _UNDEFINED:
            raise _Unusual
        child().start()
        return Header(tags, syntax, None, whole)
    if length == _UNDEFINED or at + length > len(data):
        raise _Unusual
    if tags.get("SOPClassUID") not in ENHANCED_CT:
        return Header(tags, syntax, memoryview(data)[at : at + length])
    return Header(tags, syntax, memoryview(data)[at : at + length], whole if syntax == DEFLATED else data[:start])


def _meta(data: bytes, name: str) -> tuple[str, bytes, int]:
    """The transfer syntax, the bytes to walk on in (inflated, where they were deflated), and where the image starts."""
    at, syntax = 132, ""
    while data[at : at + 2] == b"\x02\x00":
        group, element, vr, length = _HEAD.unpack_from(data, at)
        at += 8
        if vr in _LONG:
            (length,) = _WIDE.unpack_from(data, at)
            at += 4
        value = data[at : at + length].rstrip(b"\0 ").decode("ascii", "replace")
        tag = group << 16 | element
        if tag == _CLASS and value == INDEX:
            raise _Index
        if tag == _SYNTAX:
            syntax = value
        at += length
    if syntax == DEFLATED:
        return syntax, _inflated(data[at:], name), 0
    if syntax not in (IMPLICIT, EXPLICIT) and not syntax.startswith(COMPRESSED):
        raise _Unusual
    return syntax, data, at


def _inflated(data: bytes, name: str) -> bytes:
    inflater = zlib.decompressobj(wbits=-15)
    most = max(INFLATED_BYTES, INFLATED_RATIO * len(data))
    try:
        whole = inflater.decompress(data, most)
    except zlib.error as error:
        raise InputRefused(f"{name} is damaged ({error}); get a whole copy.") from error
    if not inflater.eof:
        raise InputRefused(f"{name} is cut short, or unpacks to more than {most} bytes; get a whole copy.")
    return whole


def _sequence_end(data: bytes, at: int, explicit: bool, depth: int) -> int:
    """Where a sequence of undefined length that starts at `at` ends."""
    if depth > NESTED:
        raise _Unusual
    while True:
        if at > HEADER_BYTES:
            raise _Unusual
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
        if at > HEADER_BYTES:
            raise _Unusual
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


def _parsed(data: bytes, name: str, *, bare: bool) -> Header | None:
    """The slow way, by pydicom in the child."""
    try:
        answer, pixels = child().ask(name, {"task": "parse", "bare": bare}, data)
    except InputRefused:
        if bare or _says(data) not in ("", *CT_CLASSES):
            return None
        raise
    if "foreign" in answer:
        return None
    tags, syntax = answer["tags"], answer["syntax"]
    asked = (answer["pixels"] and not answer["native"]) or tags.get("SOPClassUID") in ENHANCED_CT
    return Header(tags, syntax, memoryview(pixels) if answer["native"] else None, data if asked else None, bare)


def _says(data: bytes) -> str:
    """The class that a file's meta information names, as far as it is there."""
    at = data.find(b"\x02\x00\x02\x00UI", 132, 1024)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    return data[at + 8 : at + 8 + length].decode("ascii", "replace").rstrip("\0 ") if at > 0 else ""
