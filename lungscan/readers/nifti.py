"""NIfTI-1: `.nii`, `.nii.gz` or `.hdr` with `.img`. RAS millimetres in the file, LPS in the volume.

The sform counts when its code is over 0, else the qform; a file with neither has no place in the patient and is refused.
Column runs fastest. (NIfTI-1.1, nifti1.h.)
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable

import numpy as np

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.grids import FARTHEST_MM, MOST_SKIPPED, from_affine
from lungscan.readers.voxels import (
    GZIP,
    PACKED_SLACK,
    Pieces,
    Values,
    as_volume,
    packed_bytes,
    refuse_bomb,
    skipped,
    stored,
    unpacked,
)
from lungscan.volume import Array, Source, Volume

HEADER = 348
TYPES = {4: "i2", 8: "i4", 16: "f4", 64: "f8", 512: "u2", 768: "u4"}
UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
CORNER_MM = 0.5
"""How far sform and qform may place a corner apart before they contradict each other."""

MAGIC = b"\x1f\x8b"
"""How a gzip file starts."""

SLACK = 2**16
"""Zero bytes that may follow the voxels."""


def read(member: Member, beside: Callable[[str], Member]) -> Volume:
    """Volume of a NIfTI file, its data whole and its checksum right."""
    name = member.name
    head = _start(name, member)
    if len(head) < HEADER or head[344:348] not in (b"n+1\0", b"ni1\0"):
        raise InputRefused(f"{name} is no NIfTI-1 file; Analyze files say nothing of the patient's sides.")
    order = next((o for o in "<>" if struct.unpack_from(o + "i", head)[0] == HEADER), None)
    if order is None:
        raise InputRefused(f"{name} has a damaged NIfTI header.")
    header = _Header(name, order, head)
    shape = header.shape()
    grid = from_affine(name, shape, header.affine(shape))
    dtype = header.dtype()
    wanted = dtype.itemsize * math.prod(shape)
    pair = head[344:348] == b"ni1\0"
    offset = header.offset(352 if not pair else 0)
    if not pair:
        _check_extensions(name, order, member, offset)
    source = beside(_image_name(name)) if pair else member
    slope, intercept = header.floats(112, 2)
    if not np.isfinite([slope, intercept]).all() or (slope == 0 and intercept != 0):
        raise InputRefused(f"{name}: its scaling (slope {slope:g}, intercept {intercept:g}) says nothing.")

    def scaled(values: Values) -> Values:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(values * np.float64(slope) + np.float64(intercept))

    plain = (slope, intercept) in ((0, 0), (1, 0))
    hu = as_volume(name, _pieces(name, source, offset, wanted), dtype, shape, scaled=None if plain else scaled, slack=SLACK)
    stem = name.rsplit("/", 1)[-1].removesuffix(".gz").rsplit(".", 1)[0]
    return Volume(hu, grid, Source(name, "nifti", stem))


def _pieces(name: str, source: Member, offset: int, wanted: int) -> Pieces:
    """The voxels' bytes, unpacked where they are packed, and the few zeros that may follow them."""
    if not source.head(len(MAGIC)).startswith(MAGIC):
        return stored(name, source, offset, wanted, SLACK)
    most = offset + wanted + SLACK
    refuse_bomb(name, source.size(), most)
    return skipped(unpacked(name, source.pieces(packed_bytes(most)), most, GZIP), offset)


def _start(name: str, member: Member, count: int = HEADER + 4) -> bytes:
    """The first bytes (the header's, and the four that say whether extensions follow), unpacked where they are packed."""
    data = member.head(count + PACKED_SLACK)
    if not data.startswith(MAGIC):
        return data[:count]
    try:
        return zlib.decompressobj(wbits=31).decompress(data, count)
    except zlib.error as error:
        raise InputRefused(f"{name}: its compressed data are damaged ({error}); get a whole copy.") from error


def _check_extensions(name: str, order: str, member: Member, offset: int) -> None:
    """Extensions must end where the voxels start (nifti1.h: sizes are multiples of 16, from byte 352)."""
    if offset > MOST_SKIPPED:
        raise InputRefused(f"{name}: its data start at byte {offset}, further than any header reaches.")
    start = _start(name, member, offset)
    at = HEADER + 4
    if len(start) < at or not start[HEADER]:
        return
    while at < offset:
        size = struct.unpack_from(order + "i", start, at)[0] if at + 4 <= len(start) else 0
        if size < 16 or size % 16 or at + size > offset:
            raise InputRefused(f"{name}: a header extension has a false size ({size}); it is not clear where voxels start.")
        at += size


def _image_name(name: str) -> str:
    stem, _, suffix = name.rsplit("/", 1)[-1].rpartition(".")
    return f"{stem}.{'IMG' if suffix.isupper() else 'img'}"


class _Header:
    """The fields of a NIfTI-1 header that place and scale the voxels."""

    def __init__(self, name: str, order: str, data: bytes) -> None:
        self.name, self.order, self.data = name, order, data
        self.code = self.shorts(70, 1)[0]

    def shorts(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self.order}{count}h", self.data, at)

    def floats(self, at: int, count: int) -> tuple[float, ...]:
        return struct.unpack_from(f"{self.order}{count}f", self.data, at)

    def dtype(self) -> np.dtype[np.generic]:
        if self.code not in TYPES:
            raise InputRefused(f"{self.name} holds values of type {self.code}, which are not HU.")
        return np.dtype(self.order + TYPES[self.code])

    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        dims = self.shorts(40, 8)
        if not 3 <= dims[0] <= 7 or any(n != 1 for n in dims[4 : dims[0] + 1]) or any(n > 1 for n in dims[dims[0] + 1 :]):
            raise InputRefused(f"{self.name} has dimensions {dims[1 : dims[0] + 1]}; lungscan reads one 3-D volume.")
        return dims[3], dims[2], dims[1]

    def offset(self, least: int) -> int:
        """Where the voxels start."""
        at = self.floats(108, 1)[0]
        if not least <= at < 2**31 or at != int(at):
            raise InputRefused(f"{self.name}: its data start at byte {at:g}, which its header does not allow.")
        return int(at)

    def affine(self, shape: tuple[int, int, int]) -> Array:
        """4x4, from column, row and slice to LPS millimetres."""
        units = UNITS_MM.get(self.data[123] & 7)
        qform_code, sform_code = self.shorts(252, 2)
        if units is None or (qform_code <= 0 and sform_code <= 0):
            raise InputRefused(f"{self.name} does not say how it lies in the patient (no sform, no qform).")
        used = self.floats(280, 12) * (sform_code > 0) + self.floats(256, 6) * (qform_code > 0) + self.floats(76, 4)
        if not np.abs(used).max() <= FARTHEST_MM * 1000:
            raise InputRefused(f"{self.name}: its sform or qform holds what is no number; place is unknown.")
        forms = [form() for code, form in ((sform_code, self._sform), (qform_code, self._qform)) if code > 0]
        corners = np.array([[x, y, z, 1] for x in (0, shape[2]) for y in (0, shape[1]) for z in (0, shape[0])]).T
        if len(forms) == 2 and not np.abs((forms[0] - forms[1]) @ corners).max() * units <= CORNER_MM:
            raise InputRefused(f"{self.name}: its sform and qform place it differently in the patient; keep one of them.")
        affine = np.diag([-units, -units, units, 1.0]) @ forms[0]
        steps, said = np.linalg.norm(affine[:3, :3], axis=0), np.array(self.floats(80, 3)) * units
        if not np.allclose(steps, said, rtol=0.01):
            raise InputRefused(f"{self.name}: its pixdim ({said}) and its axes ({steps}) differ in length.")
        return np.asarray(affine)

    def _sform(self) -> Array:
        return np.vstack([np.array(self.floats(280, 12)).reshape(3, 4), [0, 0, 0, 1]])

    def _qform(self) -> Array:
        b, c, d, x, y, z = self.floats(256, 6)
        rest = 1 - b * b - c * c - d * d
        if not rest > -1e-5:
            raise InputRefused(f"{self.name}: its qform holds no rotation.")
        a = math.sqrt(max(rest, 0))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        qfac, *pixdim = self.floats(76, 4)
        affine = np.eye(4)
        affine[:3, :3] = rotation * pixdim * [1, 1, -1 if qfac < 0 else 1]
        affine[:3, 3] = x, y, z
        return affine
