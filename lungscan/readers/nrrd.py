"""NRRD: `.nrrd`, or `.nhdr` with its data beside it. First axis fastest; LPS, RAS or LAS in the file, LPS in the volume.

`space directions` holds one vector an axis: vector k is column k of the affine. (teem.sourceforge.net/nrrd/format.html.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import chain

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.grids import FARTHEST_MM, MOST_SKIPPED, from_affine, whole
from lungscan.readers.voxels import BZIP2, GZIP, Pieces, as_volume, packed_bytes, refuse_bomb, skipped, stored, unpacked
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
UNPACKERS = {"gzip": GZIP, "gz": GZIP, "bzip2": BZIP2, "bz2": BZIP2}
ENCODINGS = ("raw", "gzip", "bzip2", "ascii", "hex")
TEXT = ("ascii", "text", "txt")
SKIPS = ("line skip", "byte skip")
HEADER_BYTES = 2**16

LONGEST_FIELD = 1000
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
    where, start = (member, end) if source is None else (beside(source), 0)
    hu = as_volume(name, _raw(name, fields, where, start, dtype, wanted), dtype, grid.shape)
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


def _raw(name: str, fields: dict[str, str], source: Member, start: int, dtype: np.dtype[np.generic], wanted: int) -> Pieces:
    """The voxels' bytes; `line skip` counts before decompression, `byte skip` after it."""
    encoding = fields.get("encoding", "").lower()
    lines, skip = (whole(name, key, fields.get(key, fields.get(key.replace(" ", ""), "0"))) for key in SKIPS)
    if lines < 0 or lines > MOST_SKIPPED or skip < -1 or skip > MOST_SKIPPED:
        raise InputRefused(f"{name} skips {lines} lines and {skip} bytes, which makes no sense.")
    most = start + _most(encoding, wanted)
    if skip == -1 and encoding == "raw":
        return stored(name, source, max(source.size() - wanted, start), wanted)
    pieces = _after_lines(name, source.pieces(most, start), lines)
    if encoding in UNPACKERS:
        refuse_bomb(name, source.size() - start, wanted)
        pieces = unpacked(name, pieces, max(skip, 0) + wanted, UNPACKERS[encoding])
    elif encoding == "hex":
        return _of_hex(name, pieces)
    elif encoding in TEXT:
        return _of_text(name, pieces, dtype)
    elif encoding != "raw":
        raise InputRefused(f"{name} is encoded as {encoding or 'nothing known'}; {', '.join(ENCODINGS)} are read.")
    return skipped(pieces, max(skip, 0))


def _after_lines(name: str, pieces: Pieces, lines: int) -> Pieces:
    """What comes after so many line ends."""
    left = lines
    for piece in pieces:
        at = 0
        while left and (stop := piece.find(b"\n", at)) >= 0:
            left, at = left - 1, stop + 1
        if not left:
            yield piece[at:]
    if left:
        raise InputRefused(f"{name} skips {lines} lines, more than its data hold.")


def _of_hex(name: str, pieces: Pieces) -> Pieces:
    rest = b""
    for piece in pieces:
        digits = b"".join((rest + piece).split())
        even = len(digits) // 2 * 2
        try:
            yield bytes.fromhex(digits[:even].decode("ascii"))
        except ValueError as error:
            raise InputRefused(f"{name}: its voxels are no hex numbers ({error}).") from error
        rest = digits[even:]
    if rest:
        raise InputRefused(f"{name}: its voxels in hex end amid a byte; get a whole copy.")


def _of_text(name: str, pieces: Pieces, dtype: np.dtype[np.generic]) -> Pieces:
    rest = b""
    for piece in chain(pieces, [b"\n"]):
        words = (rest + piece).split()
        rest = words.pop() if words and not piece[-1:].isspace() else b""
        try:
            yield _numbers(words).astype(dtype).tobytes()
            if len(rest) > LONGEST_FIELD:
                raise ValueError(f"one has more than {LONGEST_FIELD} digits")
        except ValueError as error:
            raise InputRefused(f"{name}: its voxels are no text of numbers ({error}).") from error


def _numbers(words: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = np.array(words, dtype=np.float64)
    if not (np.abs(numbers) <= np.iinfo(np.int16).max).all():
        raise ValueError("some are out of range")
    return numbers
