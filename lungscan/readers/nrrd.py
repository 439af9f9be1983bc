"""NRRD: `.nrrd`, or `.nhdr` with its data beside it. First axis fastest; LPS, RAS or LAS in the file, LPS in the volume.

`space directions` holds one vector an axis: vector k is column k of the affine. (teem.sourceforge.net/nrrd/format.html.)
"""

from __future__ import annotations

import bz2
import math
from collections.abc import Callable

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.gate import as_hu
from lungscan.readers.grids import from_affine, sized
from lungscan.readers.nifti import gunzipped
from lungscan.volume import Source, Volume

TYPES = {
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    "float": "f4",
    "double": "f8",
}
TO_LPS = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1, 1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
}


def read(member: Member, beside: Callable[[str], Member]) -> Volume:
    """Volume of a NRRD file; its data must lie in the same file or folder, whole."""
    name = member.name
    content = member.data()
    fields, end = _fields(name, content)
    if fields.get("dimension") != "3":
        raise InputRefused(f"{name} has dimension {fields.get('dimension', 'missing')}; lungscan reads one 3-D volume.")
    try:
        columns, rows, slices = (int(n) for n in fields["sizes"].split())
        vectors = [_vector(part) for part in fields["space directions"].split(") (")]
        origin = _vector(fields["space origin"])
        signs = np.array(TO_LPS[fields["space"].lower()])
        if len(vectors) != 3:
            raise ValueError("space directions")
    except (KeyError, ValueError) as error:
        raise InputRefused(f"{name} does not say how it lies in the patient ({error}).") from error
    if any(unit.strip('" ') != "mm" for unit in fields.get("space units", "mm").split()):
        raise InputRefused(f"{name} gives its place in {fields['space units']}, not mm.")
    affine = np.eye(4)
    affine[:3, :3] = np.stack(vectors, axis=1) * signs[:, None]
    affine[:3, 3] = origin * signs
    grid = from_affine(name, (slices, rows, columns), affine)
    kind = TYPES.get(fields.get("type", ""))
    if kind is None:
        raise InputRefused(f"{name} holds values of type {fields.get('type', 'missing')}, which are not HU.")
    dtype = np.dtype({"little": "<", "big": ">"}.get(fields.get("endian", ""), "?") + kind) if "endian" in fields else None
    if dtype is None:
        raise InputRefused(f"{name} does not give its byte order (endian).")
    source = fields.get("data file") or fields.get("datafile")
    data = content[end:] if source is None else beside(source).data()
    raw = sized(
        name, _raw(name, fields, data, dtype.itemsize * math.prod(grid.shape)), dtype.itemsize * math.prod(grid.shape)
    )
    values = np.frombuffer(raw, dtype).reshape(grid.shape)
    hu = values.astype(np.int16) if kind == "i2" else as_hu(values, name)
    return Volume(hu, grid, Source(name, "nrrd", name.rsplit("/", 1)[-1].rsplit(".", 1)[0]))


def _fields(name: str, content: bytes) -> tuple[dict[str, str], int]:
    """Fields by name, and where the header ends (at its first empty line)."""
    if not content.startswith(b"NRRD000"):
        raise InputRefused(f"{name} is no NRRD file.")
    ends = [at + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := content.find(mark)) >= 0]
    end = min(ends, default=len(content))
    fields: dict[str, str] = {}
    for line in content[:end].decode("utf-8", "replace").splitlines()[1:]:
        key, colon, value = line.partition(":")
        if line.startswith("#") or not colon or value.startswith("="):
            continue
        if key.strip().lower() in fields:
            raise InputRefused(f"{name} gives {key.strip()} twice.")
        fields[key.strip().lower()] = value.strip()
    return fields, end


def _vector(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = np.array([float(part) for part in text.strip(" ()").split(",")])
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise ValueError(text)
    return numbers


def _raw(name: str, fields: dict[str, str], data: bytes, wanted: int) -> bytes:
    encoding = fields.get("encoding", "").lower()
    lines, skip = int(fields.get("line skip", "0")), int(fields.get("byte skip", "0"))
    for _ in range(lines):
        data = data[data.find(b"\n") + 1 :]
    if encoding in ("gzip", "gz"):
        data = gunzipped(name, data)
    elif encoding in ("bzip2", "bz2"):
        try:
            data = bz2.decompress(data)
        except (OSError, ValueError) as error:
            raise InputRefused(f"{name} is damaged: {error}.") from error
    elif encoding != "raw":
        raise InputRefused(f"{name} is encoded as {encoding or 'nothing known'}; raw, gzip and bzip2 are read.")
    return data[len(data) - wanted :] if skip == -1 else data[skip:]
