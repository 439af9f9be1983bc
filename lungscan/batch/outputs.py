"""The outputs of a batch: a folder a scan, which is there whole or not at all, in a folder or behind a URL.

A scan's files are made in .part/, and renamed to where they are wanted once the journal knows of them. A kill between the
two is made good when the batch goes on, so a scan's folder and its line in the journal never disagree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lungscan.batch.journal import Entry, Journal
from lungscan.batch.places import file_system, is_url
from lungscan.batch.rows import OK
from lungscan.errors import UsageError
from lungscan.files import flush, write_text, writing

REPORT = "report.json"
"""Every scan's folder holds it."""


class Outputs(Protocol):
    """Where a batch leaves what it made. `home` is a local folder for its journal and its lock."""

    told: str
    home: Path

    def recover(self, journal: Journal) -> None:
        """Make good what a kill or a full disk interrupted, and remove what is no output."""

    def has(self, entry: Entry) -> bool:
        """Whether what an entry tells of is still there."""

    def stage(self, name: str) -> Path:
        """An empty local folder to make a scan's files in. Raises UsageError when what lies at its end is not a scan's,
        NotWritten when it cannot be made."""

    def keep(self, entry: Entry, record: Callable[[Entry], None]) -> None:
        """Put a scan's staged files where they are wanted, in place of older ones, and record it."""

    def publish(self, name: str, text: str) -> None:
        """A file beside the scans' folders, whole or not at all."""

    def remove(self, name: str) -> None:
        """A scan's folder; nothing else is ever removed."""


def outputs_at(where: str) -> Outputs:
    """Raises UsageError when nothing can be written there."""
    try:
        return UrlOutputs(where) if is_url(where) else FolderOutputs(Path(where))
    except OSError as error:
        raise UsageError(f"-o {where} cannot be a folder to write into: {error.strerror or error}.") from error


class FolderOutputs:
    """In a folder, made if it is missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.home, self.told = folder, str(folder)
        self._part = folder / ".part"

    def recover(self, journal: Journal) -> None:
        ready = self._part / "ready"
        for folder in sorted(ready.iterdir()) if ready.is_dir() else []:
            name, _, key = folder.name.rpartition("@")
            entry = journal.get(name)
            if entry is not None and entry.key == key and entry.row.status == OK:
                self._move(folder, name)
        self._tidy()
        for entry in journal:
            if entry.row.status != OK:
                self.remove(entry.row.name)

    def has(self, entry: Entry) -> bool:
        return entry.row.status != OK or _of_a_scan(self.home / entry.row.name)

    def stage(self, name: str) -> Path:
        there = self.home / name
        if os.path.lexists(there) and not _of_a_scan(there):
            raise UsageError(f"{there} is there already, and is no scan's outputs; move it away, or give another -o.")
        with writing(there):
            return _emptied(self._part / "new" / name)

    def keep(self, entry: Entry, record: Callable[[Entry], None]) -> None:
        name = entry.row.name
        if entry.row.status != OK:
            record(entry)
            self.remove(name)
            return
        ready = self._ready(entry)
        record(entry)
        self._move(ready, name)

    def publish(self, name: str, text: str) -> None:
        write_text(self.home / name, text)

    def remove(self, name: str) -> None:
        if _of_a_scan(self.home / name):
            shutil.rmtree((self.home / name).rename(_emptied(self._part / "old") / name), ignore_errors=True)

    def _tidy(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)

    def _ready(self, entry: Entry) -> Path:
        ready = self._part / "ready" / f"{entry.row.name}@{entry.key}"
        ready.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(ready, ignore_errors=True)
        flush(self._part / "new" / entry.row.name)
        return (self._part / "new" / entry.row.name).rename(ready)

    def _move(self, ready: Path, name: str) -> None:
        self.remove(name)
        ready.rename(self.home / name)
        flush(self.home)


class UrlOutputs(FolderOutputs):
    """Behind a URL. The journal and the lock stay in the user's cache, so the batch goes on where it was begun."""

    def __init__(self, url: str) -> None:
        self._files, self._root = file_system(url)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        super().__init__(cache / "lungscan" / "batch" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16])
        self.told = url

    def recover(self, journal: Journal) -> None:  # noqa: ARG002 (what was not recorded is uploaded again)
        self._tidy()

    def has(self, entry: Entry) -> bool:  # noqa: ARG002 (to look for a million objects would take hours)
        return True

    def keep(self, entry: Entry, record: Callable[[Entry], None]) -> None:
        self.remove(entry.row.name)
        staged = self._part / "new" / entry.row.name
        if entry.row.status == OK:
            for file in sorted(path for path in staged.rglob("*") if path.is_file()):
                self._put(file.read_bytes(), f"{entry.row.name}/{file.relative_to(staged).as_posix()}")
        record(entry)
        shutil.rmtree(staged, ignore_errors=True)

    def publish(self, name: str, text: str) -> None:
        self._put(text.encode(), name)

    def remove(self, name: str) -> None:
        there = f"{self._root.rstrip('/')}/{name}"
        if self._files.exists(f"{there}/{REPORT}"):
            self._files.rm(there, recursive=True)

    def _put(self, content: bytes, name: str) -> None:
        there = f"{self._root.rstrip('/')}/{name}"
        self._files.makedirs(there.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(there, content)


def _of_a_scan(folder: Path) -> bool:
    return (folder / REPORT).is_file()


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
