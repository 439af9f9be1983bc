"""MetaIO: `.mhd` with its `.raw` or `.zraw`, or `.mha` in one file. Parsed strictly; LPS millimetres.

TransformMatrix lists the axis directions one after another, so `direction = m.reshape(3, 3).T`; Offset is the centre of
voxel (0,0,0); column runs fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.grids import FARTHEST_MM, MOST_SKIPPED, axis_aligned, whole
from lungscan.readers.voxels import ZLIB, Pieces, as_volume, packed_bytes, refuse_bomb, stored, unpacked
from lungscan.volume import Array, Notice, Source, Volume

HEADER_BYTES = 2**16
TYPES = {"MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}
SYNONYMS = {"Position": "Offset", "Origin": "Offset", "Rotation": "TransformMatrix", "Orientation": "TransformMatrix"}
INTENSITY = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}
"""Keys that tools ignore, so that only what they need not say may stand there."""

TRUE = ("true", "1")


def read(member: Member, beside: Callable[[str], Member]) -> Volume:
    """Volume of a MetaIO file; its data must lie in the same folder, whole."""
    name = member.name
    fields, end = _fields(name, member.head(HEADER_BYTES))
    if fields.get("NDims") == "4":
        fields = _without_time(name, fields)
    if fields.get("NDims") != "3":
        raise InputRefused(f"{name} has NDims {fields.get('NDims', 'missing')}, not 3.")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputRefused(f"{name} holds several channels, not HU.")
    for key, usual in INTENSITY.items():
        if key in fields and _numbers(name, fields, key, 1) != (usual,):
            raise InputRefused(f"{name} has {key} = {fields[key]}, which some tools apply and others ignore; store HU.")
    if len(sizes := fields.get("DimSize", "").split()) != 3:
        raise InputRefused(f"{name}: DimSize is {fields.get('DimSize', 'missing')!r}, not three whole numbers.")
    columns, rows, slices = (whole(name, "DimSize", size) for size in sizes)
    notices: list[Notice] = []
    spacing = _spacing(name, fields, notices)
    direction = np.array(_numbers(name, fields, "TransformMatrix", 9)).reshape(3, 3).T
    _compare_sides(fields, direction, notices)
    if "Offset" not in fields:
        notices.append(Notice("no-offset", "The file gives no Offset: positions count from its first voxel."))
    origin = _numbers(name, fields, "Offset", 3) if "Offset" in fields else (0.0, 0.0, 0.0)
    grid = axis_aligned(name, (slices, rows, columns), spacing[::-1], origin, direction)
    kind = fields.get("ElementType", "")
    if kind not in TYPES:
        raise InputRefused(f"{name} has ElementType {kind or 'missing'}; HU come as one of {', '.join(TYPES)}.")
    dtype = np.dtype(_order(name, fields) + TYPES[kind])
    hu = as_volume(name, _raw(member, beside, fields, end, dtype.itemsize * math.prod(grid.shape)), dtype, grid.shape)
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return Volume(hu, grid, Source(name, "metaio", stem), tuple(notices))


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


def _without_time(name: str, fields: dict[str, str]) -> dict[str, str]:
    """The header of the one volume of a 4-D file. Raises InputRefused when there are more."""
    sizes, matrix = fields.get("DimSize", "").split(), fields.get("TransformMatrix", "").split()
    if len(sizes) != 4 or sizes[3] != "1" or len(matrix) != 16:
        raise InputRefused(f"{name} has NDims 4 and DimSize {' '.join(sizes) or 'missing'}; lungscan reads one 3-D volume.")
    given = [key for key in ("Offset", "ElementSpacing", "ElementSize") if key in fields]
    lines: dict[str, str] = {key: " ".join(fields[key].split()[:3]) for key in given}
    rows = " ".join(value for k, value in enumerate(matrix) if k % 4 < 3 and k < 12)
    return {**fields, **lines, "NDims": "3", "DimSize": " ".join(sizes[:3]), "TransformMatrix": rows}


def _numbers(name: str, fields: dict[str, str], key: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in fields[key].split())
    except (KeyError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(abs(n) <= FARTHEST_MM for n in numbers):
        raise InputRefused(
            f"{name}: {key} is {fields.get(key, 'missing')[:60]!r}, not {count} numbers; place or HU are unknown."
        )
    return numbers


def _spacing(name: str, fields: dict[str, str], notices: list[Notice]) -> tuple[float, ...]:
    size = _numbers(name, fields, "ElementSize", 3) if "ElementSize" in fields else None
    if "ElementSpacing" not in fields and size is not None:
        notices.append(Notice("element-size", "ElementSize is taken as the spacing; the file gives no ElementSpacing."))
        return size
    spacing = _numbers(name, fields, "ElementSpacing", 3)
    if size is not None and not np.allclose(size, spacing, rtol=1e-3):
        notices.append(Notice("element-size", "ElementSize differs from ElementSpacing, which is taken."))
    return spacing


def _compare_sides(fields: dict[str, str], direction: Array, notices: list[Notice]) -> None:
    """AnatomicalOrientation names the sides that the axes come from (RAI: those of LPS); the matrix counts."""
    said = fields.get("AnatomicalOrientation", "").upper()
    if len(said) != 3 or not set(said) <= set("RLAPIS"):
        return
    along = np.abs(direction).argmax(axis=0)
    sides = "".join(("RL", "AP", "IS")[axis][int(direction[axis, k] < 0)] for k, axis in enumerate(along))
    if said != sides:
        notices.append(
            Notice("sides", f"AnatomicalOrientation is {said}, but TransformMatrix says {sides}, which is taken.")
        )


def _order(name: str, fields: dict[str, str]) -> str:
    said = {fields[key].lower() for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if key in fields}
    if len(said) > 1:
        raise InputRefused(f"{name} gives two different byte orders.")
    if fields.get("BinaryData", "True").lower() not in TRUE:
        raise InputRefused(f"{name} holds its voxels as text, which is not read.")
    return ">" if said & set(TRUE) else "<"


def _raw(member: Member, beside: Callable[[str], Member], fields: dict[str, str], end: int, wanted: int) -> Pieces:
    """The voxels' bytes, all of them and no more; the header ends at `end`."""
    name, where = member.name, fields["ElementDataFile"]
    if where.upper().startswith("LIST") or "%" in where:
        raise InputRefused(f"{name} spreads its slices over files, which is not read; join them first.")
    local = where.upper() == "LOCAL"
    if not local and member.data(HEADER_BYTES)[end:].strip():
        raise InputRefused(f"{name} goes on after ElementDataFile, which must end its header.")
    skip = whole(name, "HeaderSize", fields.get("HeaderSize", "0"))
    compressed = fields.get("CompressedData", "False").lower() in TRUE
    if not -1 <= skip <= MOST_SKIPPED or (skip == -1 and compressed):
        raise InputRefused(f"{name}: HeaderSize {skip} does not say where the data start.")
    source = member if local else beside(where)
    start = (end if local else 0) + max(skip, 0)
    if skip == -1:
        start = min(max(source.size() - wanted, start), start + MOST_SKIPPED)
    if not compressed:
        return stored(name, source, start, wanted)
    packed = source.size() - start
    said = fields.get("CompressedDataSize")
    if said is not None and whole(name, "CompressedDataSize", said) != packed:
        raise InputRefused(f"{name}: its compressed data are {packed} bytes, not the {said} of its header.")
    refuse_bomb(name, packed, wanted)
    return unpacked(name, source.pieces(start + packed_bytes(wanted), start), wanted, ZLIB)
