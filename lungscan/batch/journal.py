"""What a batch has finished: one JSON line a scan, appended and flushed to the disk before anyone is told.

A kill leaves at most a torn last line, which is cut off when the journal is opened again. Of several lines of one scan the
last one holds. Closing it writes one line a scan in the order of their names: the same scans leave the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungscan.batch.rows import Row
from lungscan.files import flush, write_bytes


@dataclass(frozen=True)
class Entry:
    """A row, and the key of what it was made from: input, settings and weights."""

    key: str
    row: Row


class Journal:
    """The entries by the scans' names. One process at a time may open it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, Entry] = {}
        self._file = path.open("a+b", buffering=0)
        try:
            flush(path.parent)
            self._size = self._load()
        except BaseException:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[Entry]:
        """By name."""
        return (self._entries[name] for name in sorted(self._entries))

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def add(self, entry: Entry) -> None:
        """Raises OSError when it cannot be written; then the journal is as it was."""
        line = _line(entry)
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "the disk is full")
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)
        self._entries[entry.row.name] = entry

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._file.truncate(0)
        self._size = 0

    def close(self) -> None:
        self._file.close()
        write_bytes(self._path, b"".join(map(_line, self)))

    def _load(self) -> int:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            entry = _entry(line)
            if entry is not None:
                self._entries[entry.row.name] = entry
        if len(whole) < len(content):
            self._file.truncate(len(whole))
            os.fsync(self._file.fileno())
        return len(whole)


def _line(entry: Entry) -> bytes:
    return json.dumps({"key": entry.key, "row": entry.row.to_dict()}, allow_nan=False).encode() + b"\n"


def _entry(line: bytes) -> Entry | None:
    """None for a line that is damaged or of another version: its scan is done again."""
    try:
        told: dict[str, Any] = json.loads(line)
        return Entry(str(told["key"]), Row.from_dict(told["row"]))
    except (ValueError, TypeError, KeyError):
        return None
