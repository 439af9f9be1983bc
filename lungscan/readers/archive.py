"""A folder, a zip or a single file as members that can be opened; nothing is ever extracted or followed."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from lungscan.errors import InputRefused

DEPTH = 8
"""Folders below the one given that are looked into."""

MEMBERS = 100_000
"""Files of a folder, those below counted in, or members of a zip."""

MEMBER_BYTES = 4 * 2**30
TOTAL_BYTES = 16 * 2**30
RATIO = 1100
"""Bounds on a zip, held while it is inflated. Deflate cannot pack more than 1032 to 1."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True)
class Member:
    """One regular file, or one entry of a zip. `name` is a label, never a path to write to."""

    name: str
    open: Callable[[], BinaryIO]

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> Member:
        """A file, which must be a regular one when it is opened."""
        return cls(path.name if name is None else name, lambda: _file(path))

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

    def data(self) -> bytes:
        with self.open() as file:
            return file.read()


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


def _file(path: Path) -> BinaryIO:
    if not path.is_file():
        raise InputRefused(f"{path} is not a regular file.")
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise InputRefused(f"{path} cannot be read ({error.strerror}).") from error


def _of_zip(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise InputRefused(f"{path} is a damaged zip ({error}); get a whole copy.") from error
    infos = [i for i in archive.infolist() if not i.is_dir() and (i.external_attr >> 28) != 0xA]
    names = [i.filename for i in infos]
    too_dense = any(i.file_size > RATIO * max(i.compress_size, 1) for i in infos)
    too_large = len(infos) > MEMBERS or any(i.file_size > MEMBER_BYTES for i in infos)
    if too_dense or too_large or sum(i.file_size for i in infos) > TOTAL_BYTES:
        raise InputRefused(f"{path} would unpack to more than is sane for a scan; it is not read.")
    if len(set(names)) < len(names):
        raise InputRefused(f"{path} holds two members of one name; it is not clear which is meant.")
    for info in sorted(infos, key=lambda i: i.filename):
        yield Member(info.filename, partial(_inflated, archive, info))


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """A member in memory, no longer than the zip says, its checksum tested."""
    try:
        with archive.open(info) as file:
            return BytesIO(file.read())
    except _DAMAGE as error:
        raise InputRefused(f"{info.filename} in {archive.filename} cannot be unpacked ({error}).") from error
