"""PATH... → scans: folders, zips, volume files, globs, lists and URLs; each scan once, in order, under a fixed name."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungscan.batch.folders import DETACHED, Found, Headers, below, stamp, with_its_data
from lungscan.batch.places import File, is_url, place_of
from lungscan.errors import UsageError

LONGEST_NAME = 100
"""Bytes of a scan's name; a longer one is cut and made unique by its path's hash."""

OWN = {"index.html", "summary.csv", "summary.jsonl", "predictions.csv", "journal.jsonl"}
"""What else lies in the folder of outputs."""


@dataclass(frozen=True)
class Scan:
    """One scan to examine.

    name   : of its folder in the outputs
    path   : as it was reached from what was given; may be a URL
    series : the series to read, where other series lie in the path too
    stamp  : changes when a file of the scan does
    """

    name: str
    path: str
    series: str | None
    stamp: str


class Inputs:
    """What was given, looked through as often as asked; headers that were read once are remembered.

    `scans` raises UsageError when a path does not exist or lies in the outputs, when a glob meets nothing, and when a list
    cannot be read.
    """

    def __init__(self, given: Sequence[str], outputs: str) -> None:
        self.given = given
        self._told = outputs
        self._outputs = outputs if is_url(outputs) else os.path.realpath(outputs)
        self._headers = Headers()
        self.passed_over: tuple[str, ...] = ()

    def scans(self, *, answer_all: bool = True) -> list[Scan]:
        """The scans now, by name. With `answer_all` each path given is a scan when none is found in it, so that its reader
        says why. `passed_over` then tells the folders that hold DICOM but no CT slices."""
        found: dict[str, Found] = {}
        passed_over: list[str] = []
        for given in self._paths():
            path = place_of(given).proper(given)
            here = list(self._found(path, passed_over))
            if not here and answer_all:
                here = [Found(path, _last(path), None, stamp([]))]
            for scan in here:
                if self._skip(scan.path):
                    raise UsageError(f"{scan.path} lies in the folder of the outputs, {self._told}; give another -o.")
                found.setdefault(_identity(scan), scan)
        self.passed_over = tuple(dict.fromkeys(passed_over))
        return _named(list(found.values()))

    def _paths(self) -> Iterator[str]:
        for path in self.given:
            if path.startswith("@") and not os.path.exists(path):  # noqa: PTH110
                yield from _listed(path[1:])
            elif path.lower().endswith(".txt"):
                yield from _listed(path)
            elif not _exists(path) and set(path) & set("*?["):
                matches = place_of(path).matches(path)
                if not matches:
                    raise UsageError(f"{path} meets no file or folder.")
                yield from matches
            elif not _exists(path):
                raise UsageError(f"there is no file or folder {path}.")
            else:
                yield path

    def _found(self, path: str, passed_over: list[str]) -> Iterator[Found]:
        place = place_of(path)
        if path.rpartition("/")[2].upper() == "DICOMDIR":
            path = path.rpartition("/")[0] or "."
        file = place.file(path)
        if file is not None:
            yield Found(path, _last(path), None, stamp(with_its_data(file, _beside(file))))
            return
        for scan in below(place, path, self._headers, self._skip, passed_over):
            yield replace(scan, label=f"{_last(path)}/{scan.label}".rstrip("/"))

    def _skip(self, folder: str) -> bool:
        """The outputs are no inputs."""
        there = folder if is_url(folder) else os.path.realpath(folder)
        return there == self._outputs or there.startswith(self._outputs.rstrip("/") + "/")


def _beside(file: File) -> list[File]:
    """The files in the folder of a file given, where its voxels may lie in another one."""
    folder = file.path.rpartition("/")[0] or "."
    return (
        next((files for _, files in place_of(file.path).folders(folder)), []) if file.name.lower().endswith(DETACHED) else []
    )


def _exists(path: str) -> bool:
    if not is_url(path):
        return os.path.exists(path)  # noqa: PTH110 (is False, too, for what is no path at all)
    place = place_of(path)
    return place.file(path) is not None or next(place.folders(path), None) is not None


def _listed(path: str) -> list[str]:
    """The lines of a list, relative ones from the list's own folder; empty lines and those that start with # are none."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read ({error.strerror}).") from error
    lines = [line.strip() for line in text.splitlines()]
    folder = Path(path).parent
    return [line if is_url(line) else str(folder / line) for line in lines if line and not line.startswith("#")]


def _last(path: str) -> str:
    """The last part of a path: what its scans' names begin with."""
    return path.rstrip("/").rpartition("/")[2] if is_url(path) else os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119


def _identity(scan: Found) -> str:
    return f"{scan.path.rstrip('/') if is_url(scan.path) else os.path.realpath(scan.path)}\n{scan.series or ''}"


def _named(found: Sequence[Found]) -> list[Scan]:
    """Each scan under the name that its place gives; where two would share one, each with the hash of its path."""
    plain = [_plain(scan.label) for scan in found]
    folded = Counter(name.casefold() for name in plain)
    scans = []
    for scan, name in zip(found, plain, strict=True):
        if folded[name.casefold()] > 1 or name in OWN or len(name.encode()) > LONGEST_NAME:
            digest = hashlib.sha256(_identity(scan).encode("utf-8", "surrogateescape")).hexdigest()[:8]
            name = f"{name.encode()[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}-{digest}"
        scans.append(Scan(name, scan.path, scan.series, scan.stamp))
    return sorted(scans, key=lambda scan: scan.name)


def _plain(label: str) -> str:
    """A file name of letters, digits, dots, dashes and underscores; two of these stand for a slash."""
    name = re.sub(r"[^\w.-]", "_", unicodedata.normalize("NFC", label.replace("/", "__")))
    return name.lstrip(".-") or "scan"
