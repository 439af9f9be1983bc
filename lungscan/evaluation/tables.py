"""LUNA16's tables of places, as arrays: series, position in patient mm, and one value (a diameter or a score)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused, UsageError
from lungscan.volume import Array

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Places:
    """Points in scans.

    scan   : (N,) index of the scan, counted from 0
    xyz_mm : (N,3) patient position
    value  : (N,) diameter in mm, or score
    """

    scan: Indices
    xyz_mm: Array
    value: Array


def read_series(table: Path) -> list[str]:
    """The scans that count, one UID a line; a heading `seriesuid` and empty lines are passed over.

    Raises UsageError when there is no such file, InputRefused when it names no series, or one of them twice.
    """
    seen: dict[str, int] = {}
    for number, row in _lines(table):
        uid = row[0].strip() if row else ""
        if uid in seen:
            raise InputRefused(f"{table}, line {number}: the series {uid} stands there twice; remove one of the lines.")
        if uid and uid != "seriesuid":
            seen[uid] = number
    if not seen:
        raise InputRefused(f"{table}, line 1: no series is named; write one UID a line.")
    return list(seen)


def read_places(table: Path, series: Sequence[str], value: str) -> Places:
    """The rows of a table with the columns seriesuid, coordX, coordY, coordZ and `value`; other series' rows are left out.

    Raises UsageError when there is no such file, InputRefused for a missing column or what is no finite number.
    """
    names = ("seriesuid", "coordX", "coordY", "coordZ", value)
    lines = _lines(table)
    _, heading = next(lines, (1, []))
    missing = [name for name in names if name not in heading]
    if missing:
        raise InputRefused(f"{table}, line 1: there is no column {missing[0]}; the columns needed are {', '.join(names)}.")
    uid, *columns = (heading.index(name) for name in names)
    scan_of = {name: k for k, name in enumerate(series)}
    scans, rows = [], []
    for number, row in lines:
        if not row:
            continue
        try:
            numbers = [float(row[column]) for column in columns]
            if not all(map(math.isfinite, numbers)):
                raise ValueError
        except (ValueError, IndexError):
            raise InputRefused(f"{table}, line {number}: {', '.join(names[1:])} must be four numbers; correct it.") from None
        scan = scan_of.get(row[uid])
        if scan is not None:
            scans.append(scan)
            rows.append(numbers)
    table_of = np.asarray(rows, dtype=np.float64).reshape(-1, 4)
    return Places(np.asarray(scans, dtype=np.intp), table_of[:, :3], table_of[:, 3])


def _lines(table: Path) -> Iterator[tuple[int, list[str]]]:
    if not table.is_file():
        raise UsageError(f"there is no file {table}; give a table of LUNA16's form.")
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            for row in reader:
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error):
            raise InputRefused(f"{table}, line {reader.line_num + 1}: this is no text table; give a CSV file.") from None
