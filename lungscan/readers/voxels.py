"""The bytes of a volume file → HU, piece by piece: neither the file nor what it unpacks to is ever held whole.

A reader strings these together: `stored`, or `Member.pieces` → `unpacked` → `skipped`; then `as_volume`.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.readers.archive import PIECE_BYTES, Member
from lungscan.readers.gate import as_hu
from lungscan.volume import Shape

Pieces = Iterator[bytes]
Values = npt.NDArray[Any]

PACKED_SLACK = 2**16

ALWAYS_BYTES, RATIO = 2**28, 100
"""What a packed file may always unpack to, and how many times its own size beyond that; the noise of a CT packs 3 to 1."""


class Unpacker(Protocol):
    """A decompressor of `zlib` or `bz2`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


ZLIB: Callable[[], Unpacker] = partial(zlib.decompressobj, wbits=47)
"""Of a zlib or a gzip stream, whichever it is."""

GZIP: Callable[[], Unpacker] = partial(zlib.decompressobj, wbits=31)
BZIP2: Callable[[], Unpacker] = bz2.BZ2Decompressor


def packed_bytes(wanted: int) -> int:
    """The most that `wanted` bytes take when they are packed: what does not pack grows by headers alone."""
    return wanted + wanted // 64 + PACKED_SLACK


def refuse_bomb(name: str, packed: int, wanted: int) -> None:
    """Raises InputRefused when `packed` bytes of a file are too few for what they are to unpack to."""
    if wanted > max(ALWAYS_BYTES, RATIO * packed):
        raise InputRefused(f"{name} would unpack from {packed} to {wanted} bytes, which no scan does; it is not read.")


def stored(name: str, source: Member, start: int, wanted: int, slack: int = 0) -> Pieces:
    """Voxels that are not packed, whose number of bytes is known before they are read."""
    if not wanted <= (held := source.size() - start) <= wanted + slack:
        raise InputRefused(f"{name}: its data hold {held} bytes, not the {wanted} that its header asks for.")
    return source.pieces(start + wanted + slack, start)


def skipped(pieces: Pieces, count: int) -> Pieces:
    """What comes after the first `count` bytes."""
    for piece in pieces:
        yield piece[count:]
        count = max(count - len(piece), 0)


def unpacked(name: str, packed: Pieces, most: int, start: Callable[[], Unpacker]) -> Pieces:
    """A packed stream, or several in a row, each to its end and checksum; only zero bytes may follow.

    Raises InputRefused for damage, and when there are more than `most` bytes.
    """
    unpacker, total, ended = start(), 0, False
    for data in packed:
        while data:
            if unpacker.eof:
                ended = ended or not data[0]
                if ended and data.strip(b"\0"):
                    raise InputRefused(
                        f"{name}: its compressed data are damaged (more follows their end); get a whole copy."
                    )
                if ended:
                    break
                unpacker = start()
            for part in _parts(name, unpacker, data, most - total):
                total += len(part)
                yield part
            data = unpacker.unused_data
    if not unpacker.eof:
        raise InputRefused(f"{name}: its compressed data end early; get a whole copy.")


def _parts(name: str, unpacker: Unpacker, data: bytes, most: int) -> Pieces:
    """What one piece unpacks to, at the most PIECE_BYTES at a time."""
    part = b""
    while not unpacker.eof and (data or len(part) == PIECE_BYTES):
        try:
            part = unpacker.decompress(data, PIECE_BYTES)
        except (zlib.error, OSError) as error:
            raise InputRefused(f"{name}: its compressed data are damaged ({error}); get a whole copy.") from error
        data = getattr(unpacker, "unconsumed_tail", b"")  # bz2 keeps what is left to itself
        most -= len(part)
        if most < 0:
            raise InputRefused(f"{name}: its data are longer than its header asks for.")
        yield part


def as_volume(
    name: str,
    pieces: Iterable[bytes],
    dtype: np.dtype[np.generic],
    shape: Shape,
    *,
    scaled: Callable[[Values], Values] | None = None,
    slack: int = 0,
) -> npt.NDArray[np.int16]:
    """The voxels as int16 HU of this shape (I,R,C); int16 as they are, other types rounded.

    scaled : what makes HU of the stored values, where they are none
    slack  : how many zero bytes may follow the voxels

    Raises InputRefused when there are fewer bytes or more, and for values that are no HU.
    """
    hu = np.empty(shape, np.int16)
    flat = hu.reshape(-1)
    as_they_are = scaled is None and dtype.kind == "i" and dtype.itemsize == 2
    wanted, total, at, rest = dtype.itemsize * flat.size, 0, 0, b""
    for piece in pieces:
        beyond = max(total + len(piece) - max(wanted, total), 0)
        total += len(piece)
        if total > wanted + slack or any(piece[len(piece) - beyond :]):
            raise InputRefused(f"{name}: its data are longer than the {wanted} bytes that its header asks for.")
        held = rest + piece[: len(piece) - beyond]
        values: Values = np.frombuffer(held, dtype, len(held) // dtype.itemsize)
        flat[at : at + len(values)] = values if as_they_are else as_hu(values if scaled is None else scaled(values), name)
        at += len(values)
        rest = held[len(values) * dtype.itemsize :]
    if total < wanted:
        raise InputRefused(f"{name}: its data hold {total} bytes, not the {wanted} that its header asks for.")
    return hu
