"""Folders and files of inputs, on this machine's disks or behind a URL (fsspec), seen in the same way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from lungscan.errors import EngineUnavailable, LungscanError, UsageError


@dataclass(frozen=True)
class File:
    """A regular file. `version` changes when its content does: the time of its last change, or what a store tells."""

    path: str
    size: int
    version: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Place(Protocol):
    """Where inputs lie. Paths are joined by slashes."""

    def file(self, path: str) -> File | None:
        """The file at `path`, None when there is none."""

    def folders(self, path: str) -> Iterator[tuple[str, list[File]]]:
        """The folders at and below `path` with their own files, in the order of their names; hidden ones are left out."""

    def open(self, file: File) -> BinaryIO: ...

    def matches(self, pattern: str) -> list[str]:
        """The paths that a glob means."""

    def proper(self, path: str) -> str:
        """The form of a path with which those of its files begin."""


class Disk:
    """Links to folders are not followed, as the readers follow none."""

    def file(self, path: str) -> File | None:
        try:
            return _file(path, Path(path).stat()) if Path(path).is_file() else None
        except (OSError, ValueError):
            return None

    def folders(self, path: str) -> Iterator[tuple[str, list[File]]]:
        for folder, below, names in os.walk(path):
            below[:] = sorted(name for name in below if not _hidden(name))
            yield folder, [file for name in sorted(names) if (file := self._own(folder, name)) is not None]

    def open(self, file: File) -> BinaryIO:
        return Path(file.path).open("rb")

    def matches(self, pattern: str) -> list[str]:
        import glob

        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (keeps the pattern's own form)

    def proper(self, path: str) -> str:
        return path

    def _own(self, folder: str, name: str) -> File | None:
        path = os.path.join(folder, name)  # noqa: PTH118 (a million names)
        if _hidden(name) or os.path.islink(path):  # noqa: PTH114
            return None
        return self.file(path)


class Store:
    """What fsspec opens: s3://, gs://, https://, memory:// and the like."""

    def __init__(self, url: str) -> None:
        self.files, _ = file_system(url)

    def file(self, path: str) -> File | None:
        try:
            info = self.files.info(path)
        except (OSError, ValueError):
            return None
        return self._file(info) if info["type"] == "file" else None

    def folders(self, path: str) -> Iterator[tuple[str, list[File]]]:
        found: dict[str, list[File]] = defaultdict(list)
        for info in self.files.find(path, detail=True).values():
            file = self._file(info)
            if not any(_hidden(part) for part in file.path.split("/")):
                found[file.path.rpartition("/")[0]].append(file)
        for folder in sorted(found):
            yield folder, sorted(found[folder], key=lambda file: file.path)

    def open(self, file: File) -> BinaryIO:
        return cast(BinaryIO, self.files.open(file.path, "rb"))

    def matches(self, pattern: str) -> list[str]:
        return sorted(self.files.unstrip_protocol(path) for path in self.files.glob(pattern))

    def proper(self, path: str) -> str:
        return cast(str, self.files.unstrip_protocol(self.files._strip_protocol(path)))

    def _file(self, info: dict[str, Any]) -> File:
        told = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "created") if info.get(key)), "")
        return File(self.files.unstrip_protocol(info["name"]), int(info.get("size") or 0), str(told))


def is_url(path: str) -> bool:
    return "://" in path


def place_of(path: str) -> Place:
    return Store(path) if is_url(path) else Disk()


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it.

    Raises EngineUnavailable when fsspec or the package for this kind of URL is not installed, UsageError for no known kind.
    """
    try:
        core: Any = import_module("fsspec.core")
    except ImportError as error:
        raise EngineUnavailable(f"{url} needs fsspec, which is not installed: pip install 'lungscan-ct[remote]'.") from error
    try:
        return cast(tuple[Any, str], core.url_to_fs(url))
    except ImportError as error:
        raise EngineUnavailable(f"{url} cannot be opened: {error}.") from error
    except ValueError as error:
        raise UsageError(f"{url} cannot be opened: {error}.") from error


@contextmanager
def at_hand(path: str) -> Iterator[str]:
    """A file or folder where the readers can open it: the path itself, or a temporary copy of what a URL names."""
    if not is_url(path):
        yield path
        return
    store = Store(path)
    with tempfile.TemporaryDirectory(prefix="lungscan-") as folder:
        target = Path(folder, path.rstrip("/").rpartition("/")[2])
        try:
            if store.file(path) is not None:
                _copy(store, _with_its_data(store, path), path.rpartition("/")[0], target.parent)
            else:
                _copy(store, [file for _, files in store.folders(path) for file in files], path.rstrip("/"), target)
        except OSError as error:
            raise LungscanError(f"{path} cannot be fetched ({error}).") from error
        yield str(target)


def stem(name: str) -> str:
    """What a volume file and its data file beside it share: x of x.mhd and x.raw."""
    return name.rsplit(".", 1)[0]


def _with_its_data(store: Store, path: str) -> list[File]:
    folder, _, name = path.rpartition("/")
    beside = next((files for there, files in store.folders(folder) if there == folder), [])
    return [file for file in beside if stem(file.name) == stem(name)]


def _copy(store: Store, files: list[File], root: str, target: Path) -> None:
    for file in files:
        parts = file.path.removeprefix(root).strip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            continue
        there = target.joinpath(*parts)
        there.parent.mkdir(parents=True, exist_ok=True)
        with store.open(file) as source, there.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def _file(path: str, status: os.stat_result) -> File:
    return File(path, status.st_size, str(status.st_mtime_ns))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
