"""NRRD: `.nrrd`, or `.nhdr` with its data beside it. First axis fastest; LPS, RAS or LAS in the file, LPS in the volume.

`space directions` holds one vector an axis: vector k is column k of the affine. (teem.sourceforge.net/nrrd/format.html.)
"""

from __future__ import annotations

import bz2
import math
import re
from collections.abc import Callable, Iterator

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.gate import as_hu
from lungscan.readers.grids import FARTHEST_MM, MOST_SKIPPED, from_affine, inflated, packed_bytes, sized, whole
from lungscan.volume import Grid, Source, Volume

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


UNITS_MM = {"mm": 1.0, "um": 1e-3, "\u00b5m": 1e-3, "cm": 10.0, "m": 1000.0}
AMBIGUOUS = ("spacings", "axis mins", "axismins", "axis maxs", "axismaxs")
ENCODINGS = ("raw", "gzip", "bzip2", "ascii", "hex")
TEXT = ("ascii", "text", "txt")
SKIPS = ("line skip", "byte skip")
HEADER_BYTES = 2**16

LONGEST_FIELD = 1000
PIECE_BYTES = 2**20

LINE_BYTES = 64
TEXT_GROWTH = 8
"""How long a line that is skipped, and a number of two bytes in text, may be on the average."""


def read(member: Member, beside: Callable[[str], Member]) -> Volume:
    """Volume of a NRRD file; its data must lie in the same file or folder, whole."""
    name = member.name
    fields, end = _fields(name, member.head(HEADER_BYTES))
    if fields.get("dimension") == "4":
        fields = _without_list(name, fields)
    if fields.get("dimension") != "3":
        raise InputRefused(f"{name} has dimension {fields.get('dimension', 'missing')}; lungscan reads one 3-D volume.")
    if said := [key for key in AMBIGUOUS if key in fields]:
        raise InputRefused(f"{name} gives {said[0]} beside its directions; tools differ on what that means.")
    grid = _grid(name, fields)
    kind = TYPES.get(fields.get("type", ""))
    if kind is None:
        raise InputRefused(f"{name} holds values of type {fields.get('type', 'missing')}, which are not HU.")
    encoding = fields.get("encoding", "").lower()
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and encoding not in TEXT:
        raise InputRefused(f"{name} does not give its byte order (endian).")
    dtype = np.dtype((order or "<") + kind)
    source = fields.get("data file") or fields.get("datafile")
    if source is not None and (source.split()[0] == "LIST" or "%" in source):
        raise InputRefused(f"{name} spreads its slices over files, which is not read; join them first.")
    wanted = dtype.itemsize * math.prod(grid.shape)
    most = _most(encoding, wanted)
    data = member.data(end + most)[end:] if source is None else beside(source).data(most)
    raw = sized(name, _raw(name, fields, data, dtype, wanted), wanted)
    values = np.frombuffer(raw, dtype).reshape(grid.shape)
    hu = values.astype(np.int16) if kind == "i2" else as_hu(values, name)
    return Volume(hu, grid, Source(name, "nrrd", name.rsplit("/", 1)[-1].rsplit(".", 1)[0]))


def _grid(name: str, fields: dict[str, str]) -> Grid:
    """From sizes, directions and origin, in the units and the space that the header names."""
    try:
        columns, rows, slices = (int(n) for n in fields["sizes"].split())
        vectors = [_vector(part) for part in re.findall(r"\([^)]*\)|[^\s()]+", fields["space directions"])]
        origin = _vector(fields["space origin"])
        signs = np.array(TO_LPS[fields["space"].lower()])
        units = fields.get("space units", '"mm" "mm" "mm"').replace('"', " ").split()
        mm = np.array([UNITS_MM[unit] for unit in units])
        if len(vectors) != 3 or len(mm) != 3:
            raise ValueError("space directions")
    except (KeyError, ValueError) as error:
        raise InputRefused(f"{name} does not say how it lies in the patient ({error}).") from error
    affine = np.eye(4)
    affine[:3, :3] = np.stack(vectors, axis=1) * (signs * mm)[:, None]
    affine[:3, 3] = origin * signs * mm
    return from_affine(name, (slices, rows, columns), affine)


def _most(encoding: str, wanted: int) -> int:
    """Bytes that `wanted` of voxels may take in a file, and what it may skip ahead of them."""
    growth = TEXT_GROWTH if encoding in TEXT else 3 if encoding == "hex" else 1
    return MOST_SKIPPED * LINE_BYTES + growth * packed_bytes(wanted)


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
        if len(value) > LONGEST_FIELD:
            raise InputRefused(f"{name} gives {key.strip()[:40]} in {len(value)} characters.")
        if key.strip().lower() in fields:
            raise InputRefused(f"{name} gives {key.strip()} twice.")
        fields[key.strip().lower()] = value.strip()
    return fields, end


def _without_list(name: str, fields: dict[str, str]) -> dict[str, str]:
    """The header of the one volume of a 4-D file, its axis of size 1 being no direction. Raises InputRefused for more."""
    sizes = fields.get("sizes", "").split()
    vectors = re.findall(r"\([^)]*\)|[^\s()]+", fields.get("space directions", ""))
    lists = [k for k, vector in enumerate(vectors) if vector.lower() == "none"]
    if len(sizes) != 4 or len(vectors) != 4 or len(lists) != 1 or sizes[lists[0]] != "1":
        raise InputRefused(f"{name} has 4 dimensions ({' x '.join(sizes)[:60]}); lungscan reads one 3-D volume.")
    left = [k for k in range(4) if k != lists[0]]
    directions, kept = " ".join(vectors[k] for k in left), " ".join(sizes[k] for k in left)
    return {**fields, "dimension": "3", "sizes": kept, "space directions": directions}


def _vector(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = np.array([float(part) for part in text.strip(" ()").split(",")])
    if numbers.shape != (3,) or not np.abs(numbers).max() <= FARTHEST_MM * 1000:
        raise ValueError(text)
    return numbers


def _raw(name: str, fields: dict[str, str], data: bytes, dtype: np.dtype[np.generic], wanted: int) -> bytes:
    """The voxels' bytes; `line skip` counts before decompression, `byte skip` after it."""
    encoding = fields.get("encoding", "").lower()
    lines, skip = (whole(name, key, fields.get(key, fields.get(key.replace(" ", ""), "0"))) for key in SKIPS)
    if lines < 0 or lines > MOST_SKIPPED or skip < -1 or skip > MOST_SKIPPED:
        raise InputRefused(f"{name} skips {lines} lines and {skip} bytes, which makes no sense.")
    at = 0
    for _ in range(lines):
        if (stop := data.find(b"\n", at)) < 0:
            raise InputRefused(f"{name} skips {lines} lines, more than its data hold.")
        at = stop + 1
    data = data[at:]
    most = max(skip, 0) + wanted
    if encoding in ("gzip", "gz"):
        data = inflated(name, data, most, 31)
    elif encoding in ("bzip2", "bz2"):
        data = _unbzipped(name, data, most)
    elif encoding in TEXT or encoding == "hex":
        return _of_text(name, data, dtype, encoding)
    elif encoding != "raw":
        raise InputRefused(f"{name} is encoded as {encoding or 'nothing known'}; {', '.join(ENCODINGS)} are read.")
    return data[max(len(data) - wanted, 0) :] if skip == -1 else data[skip:]


def _unbzipped(name: str, data: bytes, most: int) -> bytes:
    unpacker = bz2.BZ2Decompressor()
    try:
        out = unpacker.decompress(data, most + 1)
    except OSError as error:
        raise InputRefused(f"{name}: its compressed data are damaged ({error}); get a whole copy.") from error
    if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
        raise InputRefused(f"{name}: its compressed data are not the {most} bytes that its header asks for.")
    return out


def _of_text(name: str, data: bytes, dtype: np.dtype[np.generic], encoding: str) -> bytes:
    try:
        if encoding == "hex":
            return bytes.fromhex(data.decode("ascii"))
        return b"".join(_numbers(part).astype(dtype).tobytes() for part in _pieces(data))
    except ValueError as error:
        raise InputRefused(f"{name}: its voxels are no {encoding} numbers ({error}).") from error


def _pieces(data: bytes) -> Iterator[bytes]:
    """Text in pieces of a bounded size, cut between numbers."""
    at = 0
    while at < len(data):
        cut = re.compile(rb"\s|\Z").search(data, at + PIECE_BYTES) if at + PIECE_BYTES < len(data) else None
        stop = len(data) if cut is None else cut.start()
        yield data[at:stop]
        at = stop


def _numbers(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = np.array(text.split(), dtype=np.float64)
    if not (np.abs(numbers) <= np.iinfo(np.int16).max).all():
        raise ValueError("some are out of range")
    return numbers
