"""A folder, a zip or a single file as members that can be opened; nothing is ever extracted, followed or waited for.

A zip is inflated as a stream, so that what is no scan never comes into memory as a whole, and each member to its end, so
that its checksum counts.
"""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol, Self, TypeVar

from lungscan.errors import InputRefused

DEPTH = 8
"""Folders below the one given that are looked into."""

MEMBERS = 100_000
"""Files of a folder, those below counted in, or members of a zip."""

MEMBER_BYTES = 4 * 2**30
TOTAL_BYTES = 16 * 2**30
RATIO = 1100
"""Bounds on a zip, held while it is inflated. Deflate cannot pack more than 1032 to 1."""

WHOLE_BYTES, WHOLE_RATIO = 2**28, 100
"""What a zip may always unpack to, and how many times its own size beyond that; the noise of a CT packs 3 to 1."""

PIECE_BYTES = 2**20
"""What is read at a time where a file is not read at once."""

T = TypeVar("T")

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError)


class Stream(AbstractContextManager["Stream"], Protocol):
    """Bytes from the first to the last, once."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Member:
    """One regular file, or one entry of a zip. `name` is a label, never a path to write to; `size` tells its bytes."""

    name: str
    open: Callable[[], Stream]
    size: Callable[[], int]

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> Member:
        """A file, which must be a regular one when it is opened."""
        return cls(path.name if name is None else name, partial(_file, path), lambda: path.stat().st_size)

    @classmethod
    def beside(cls, path: Path, name: str) -> Member:
        """The file `name` in the folder of `path`. Raises KeyError when it is not there or a link that leads elsewhere."""
        there = path.parent / name
        if not there.is_file() or there.resolve().parent != path.parent.resolve():
            raise KeyError(name)
        return cls.of(there)

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    def data(self, most: int = MEMBER_BYTES) -> bytes:
        """All of its bytes. Raises InputRefused, before they are read, when there are more than `most`."""
        with self.open() as file:
            self._refuse_more_than(most)
            return file.read()

    def pieces(self, most: int, start: int = 0) -> Iterator[bytes]:
        """Its bytes from `start` on, a few at a time, and no more of them than `most`, as in `data`."""
        with self.open() as file:
            self._refuse_more_than(most)
            while start > 0 and (ahead := file.read(min(start, PIECE_BYTES))):
                start -= len(ahead)
            while piece := file.read(PIECE_BYTES):
                yield piece

    def _refuse_more_than(self, most: int) -> None:
        if (size := self.size()) > most:
            raise InputRefused(f"{self.name} holds {size} bytes, more than the {most} that belong there.")

    def head(self, count: int) -> bytes:
        """Its first bytes."""
        with self.open() as file:
            return file.read(count)


def members(path: Path, depth: int = DEPTH) -> Iterator[Member]:
    """The members of a folder or zip, by name. Raises InputRefused for a damaged zip or one past the bounds."""
    if not path.is_dir():
        yield from _of_zip(path)
        return
    for count, member in enumerate(_of_folder(path, "", depth), 1):
        if count > MEMBERS:
            raise InputRefused(f"{path} holds more than {MEMBERS} files; give the folder of one scan.")
        yield member


def is_zip(path: Path) -> bool:
    with _file(path) as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _of_folder(folder: Path, prefix: str, depth: int) -> Iterator[Member]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda e: e.name)
    except OSError as error:
        raise InputRefused(f"the folder {folder} cannot be listed ({error.strerror}).") from error
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield Member.of(Path(entry.path), prefix + entry.name)
        elif entry.is_dir(follow_symlinks=False) and depth > 0:
            yield from _of_folder(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


def _file(path: Path) -> Stream:
    """Opened so that a pipe put in its place is not waited for, and looked at once it is open."""
    try:
        file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 (Path.open takes no opener)
    except OSError as error:
        raise InputRefused(f"{path} cannot be read ({error.strerror}).") from error
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise InputRefused(f"{path} is not a regular file.")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _of_zip(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise InputRefused(f"{path} is a damaged zip ({error}); get a whole copy.") from error
    infos = [i for i in archive.infolist() if not i.is_dir() and not stat.S_ISLNK(i.external_attr >> 16)]
    names = [i.filename for i in infos]
    total = sum(i.file_size for i in infos)
    too_dense = any(i.file_size > RATIO * max(i.compress_size, 1) for i in infos)
    too_large = len(infos) > MEMBERS or total > TOTAL_BYTES or any(i.file_size > MEMBER_BYTES for i in infos)
    if too_dense or too_large or total > max(WHOLE_BYTES, WHOLE_RATIO * path.stat().st_size):
        raise InputRefused(f"{path} would unpack to more than is sane for a scan; it is not read.")
    if len(set(names)) < len(names):
        raise InputRefused(f"{path} holds two members of one name; it is not clear which is meant.")
    for info in sorted(infos, key=lambda i: i.filename):
        yield Member(info.filename, partial(_Unpacked, archive, info), partial(int, info.file_size))


class _Unpacked:
    """A member of a zip, no longer than the zip says, read to its end and checksum. Raises InputRefused for damage."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._where = f"{info.filename} in {archive.filename}"
        self._file: IO[bytes] = self._sound(partial(archive.open, info))

    def read(self, size: int = -1, /) -> bytes:
        return self._sound(partial(self._file.read, size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self.read(PIECE_BYTES):
                pass
        finally:
            self._file.close()

    def _sound(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except _DAMAGE as error:
            raise InputRefused(f"{self._where} cannot be unpacked ({error}).") from error
