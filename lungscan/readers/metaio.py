"""MetaIO: `.mhd` with its `.raw` or `.zraw`, or `.mha` in one file. Parsed strictly; LPS millimetres.

TransformMatrix lists the axis directions one after another, so `direction = m.reshape(3, 3).T`; Offset is the centre of
voxel (0,0,0); column runs fastest.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.gate import as_hu
from lungscan.readers.grids import axis_aligned, sized
from lungscan.volume import Notice, Source, Volume

HEADER_BYTES = 2**16
TYPES = {"MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}
SYNONYMS = {"Position": "Offset", "Origin": "Offset", "Rotation": "TransformMatrix", "Orientation": "TransformMatrix"}


def read(member: Member, beside: Callable[[str], Member]) -> Volume:
    """Volume of a MetaIO file; its data must lie in the same folder, whole."""
    content = member.data()
    fields, end = _fields(member.name, content[:HEADER_BYTES])
    if fields.get("NDims") != "3":
        raise InputRefused(f"{member.name} has NDims {fields.get('NDims', 'missing')}, not 3.")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputRefused(f"{member.name} holds several channels, not HU.")
    columns, rows, slices = (int(v) for v in _numbers(member.name, fields, "DimSize", 3))
    notices: list[Notice] = []
    spacing = _spacing(member.name, fields, notices)
    direction = np.array(_numbers(member.name, fields, "TransformMatrix", 9)).reshape(3, 3).T
    if "Offset" not in fields:
        notices.append(Notice("no-offset", "The file gives no Offset: positions count from its first voxel."))
    origin = _numbers(member.name, fields, "Offset", 3) if "Offset" in fields else (0.0, 0.0, 0.0)
    grid = axis_aligned(member.name, (slices, rows, columns), spacing[::-1], origin, direction)
    kind = fields.get("ElementType", "")
    if kind not in TYPES:
        raise InputRefused(f"{member.name} has ElementType {kind or 'missing'}; HU come as one of {', '.join(TYPES)}.")
    dtype = np.dtype(_order(member.name, fields) + TYPES[kind])
    raw = _raw(member, beside, fields, content[end:], dtype.itemsize * math.prod(grid.shape))
    values = np.frombuffer(raw, dtype).reshape(grid.shape)
    hu = values.astype(np.int16) if dtype.kind == "i" and dtype.itemsize == 2 else as_hu(values, member.name)
    stem = member.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return Volume(hu, grid, Source(member.name, "metaio", stem), tuple(notices))


def _fields(name: str, head: bytes) -> tuple[dict[str, str], int]:
    """Keys and values up to ElementDataFile, which ends the header, and where the header ends."""
    fields: dict[str, str] = {}
    at = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while "ElementDataFile" not in fields:
        stop = head.find(b"\n", at)
        line, at = head[at : stop if stop >= 0 else len(head)], (stop + 1 if stop >= 0 else len(head))
        if not line.strip() and at < len(head):
            continue
        key, equals, value = line.decode("utf-8", "replace").partition("=")
        if not equals:
            raise InputRefused(f"{name} is no MetaIO header: it has no ElementDataFile.")
        key = SYNONYMS.get(key.strip(), key.strip())
        value = value.strip()
        if fields.setdefault(key, value) != value:
            raise InputRefused(f"{name} gives {key} twice, with different values.")
    return fields, at


def _numbers(name: str, fields: dict[str, str], key: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in fields[key].split())
    except (KeyError, ValueError):
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputRefused(f"{name}: {key} is {fields.get(key, 'missing')!r}, not {count} numbers; place or HU are unknown.")
    return numbers


def _spacing(name: str, fields: dict[str, str], notices: list[Notice]) -> tuple[float, ...]:
    if "ElementSpacing" not in fields and "ElementSize" in fields:
        notices.append(Notice("element-size", "ElementSize is taken as the spacing; the file gives no ElementSpacing."))
        return _numbers(name, fields, "ElementSize", 3)
    return _numbers(name, fields, "ElementSpacing", 3)


def _order(name: str, fields: dict[str, str]) -> str:
    said = {fields[key].lower() for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if key in fields}
    if len(said) > 1:
        raise InputRefused(f"{name} gives two different byte orders.")
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise InputRefused(f"{name} holds its voxels as text, which is not read.")
    return ">" if said & {"true", "1"} else "<"


def _raw(member: Member, beside: Callable[[str], Member], fields: dict[str, str], rest: bytes, wanted: int) -> bytes:
    """The voxels' bytes, all of them and no more."""
    where = fields["ElementDataFile"]
    if where.upper().startswith("LIST") or "%" in where:
        raise InputRefused(f"{member.name} spreads its slices over files, which is not read; join them first.")
    data = rest if where.upper() == "LOCAL" else beside(where).data()
    if fields.get("CompressedData", "False").lower() in ("true", "1"):
        try:
            inflater = zlib.decompressobj(wbits=47)
            data = inflater.decompress(data, wanted + 1)
        except zlib.error as error:
            raise InputRefused(f"{member.name}: the compressed data are damaged ({error}).") from error
        if len(data) <= wanted and not inflater.eof:
            raise InputRefused(f"{member.name}: the compressed data end early; get a whole copy.")
    else:
        skip = int(fields.get("HeaderSize", "0"))
        data = data[len(data) - wanted :] if skip == -1 and len(data) >= wanted else data[max(skip, 0) :]
    return sized(member.name, data, wanted)
