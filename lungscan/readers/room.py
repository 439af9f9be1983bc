"""How much memory a reading may take: asked before voxels are decoded, and before files are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from lungscan.errors import InputRefused
from lungscan.volume import Grid


def _anything(name: str, grid: Grid) -> None:
    pass


@dataclass(frozen=True)
class Room:
    """What one reading may hold besides its volume, and which volumes it may make.

    held_bytes  : of a DICOM folder's files; the pixels of those that come after are read again when they are needed
    whole_bytes : of one DICOM file with all its frames, as it lies there and unpacked; 2048 frames of 512 x 512
    admits      : called with a file's or folder's name and its grid before any voxel is decoded; raises InputRefused when
                  there is no room for such a scan
    """

    held_bytes: int = 2**29
    whole_bytes: int = 2**30 + 2**26
    admits: Callable[[str, Grid], None] = _anything

    def refuse_larger(self, name: str, size: int) -> None:
        """Raises InputRefused for a DICOM file of more bytes, as it lies there or unpacked."""
        if size > self.whole_bytes:
            raise InputRefused(
                f"{name} holds {size} bytes; of one DICOM file {self.whole_bytes} are read at most, less under --max-memory."
            )


AMPLE = Room()
_ROOM: ContextVar[Room] = ContextVar("room", default=AMPLE)


def room() -> Room:
    """That of the reading that goes on."""
    return _ROOM.get()


@contextmanager
def within(given: Room) -> Iterator[None]:
    token = _ROOM.set(given)
    try:
        yield
    finally:
        _ROOM.reset(token)
