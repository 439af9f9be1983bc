"""A folder, a zip or a single file as members that can be opened; nothing is ever extracted or followed."""

from __future__ import annotations

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
MEMBER_BYTES = 4 * 2**30
TOTAL_BYTES = 16 * 2**30
RATIO = 1100
"""Bounds on a zip, held while it is inflated. Deflate cannot pack more than 1032 to 1."""


@dataclass(frozen=True)
class Member:
    """One regular file, or one entry of a zip. `name` is a label, never a path to write to."""

    name: str
    open: Callable[[], BinaryIO]

    @classmethod
    def of(cls, path: Path) -> Member:
        """A file, which must be a regular one when it is opened."""
        return cls(path.name, lambda: _file(path))

    def data(self) -> bytes:
        with self.open() as file:
            return file.read()


def members(path: Path, depth: int = DEPTH) -> Iterator[Member]:
    """The members of a folder or zip, by name. Raises InputRefused for a damaged zip or one past the bounds."""
    return _of_folder(path, depth) if path.is_dir() else _of_zip(path)


def _of_folder(folder: Path, depth: int) -> Iterator[Member]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        raise InputRefused(f"the folder {folder} cannot be listed ({error.strerror}).") from error
    if len(entries) > MEMBERS:
        raise InputRefused(f"{folder} holds {len(entries)} files, more than {MEMBERS}; give the folder of one scan.")
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield Member.of(Path(entry.path))
        elif entry.is_dir(follow_symlinks=False) and depth > 0:
            yield from _of_folder(Path(entry.path), depth - 1)


def _file(path: Path) -> BinaryIO:
    if not path.is_file():
        raise InputRefused(f"{path} is not a regular file.")
    try:
        return path.open("rb")
    except OSError as error:
        raise InputRefused(f"{path} cannot be read ({error.strerror}).") from error


def _of_zip(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
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
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise InputRefused(f"{info.filename} in {archive.filename} cannot be unpacked ({error}).") from error
