"""LUNA16's layout: subset*/UID.mhd and tables of annotations (Setio et al., Medical Image Analysis 42, 2017)."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lungscan.errors import InputRefused
from lungscan.training.job import POINT_MM, Finding, Findings
from lungscan.volume import Triple, Volume

ANNOTATIONS = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
MALIGNANCY = "annotations_with_malignancy.csv"
CANDIDATES = ("candidates_V2.csv", "candidates.csv")  # the second edition, where it is there
_PLACE = ("seriesuid", "coordX", "coordY", "coordZ")


@dataclass(frozen=True)
class LunaJob:
    """A scan of LUNA16. Its tables do not tell patients apart, so a series stands for its patient."""

    path: Path
    truth: Findings

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def patient(self) -> str:
        return self.path.stem

    @property
    def series(self) -> str:
        return self.path.stem

    def findings(self, volume: Volume) -> Findings:  # noqa: ARG002 (the tables are in patient mm)
        return self.truth


def is_luna16(folder: Path) -> bool:
    return (folder / ANNOTATIONS).is_file()


def jobs(folder: Path) -> list[LunaJob]:
    """Every scan of the subsets by UID, with its truth; a scan that no table names has no nodules.

    annotations_excluded, annotations_with_malignancy (ratings) and candidates (class 0: decoys) are read where they are
    there. Raises InputRefused when there are no scans, or for a table that cannot be read.
    """
    scans = sorted({path.stem: path for path in sorted(folder.glob("subset*/*.mhd"))}.items())
    if not scans:
        raise InputRefused(f"{folder} has {ANNOTATIONS} but no subset*/*.mhd; put the scans into subset0, subset1, ...")
    nodules = _findings(folder / ANNOTATIONS, needs=("diameter_mm",))
    ignored = _findings(folder / EXCLUDED)
    rated = _findings(folder / MALIGNANCY, needs=("mal_details",))
    decoys = _decoys(next((folder / name for name in CANDIDATES if (folder / name).is_file()), folder / CANDIDATES[-1]))
    return [
        LunaJob(
            path,
            Findings(tuple(_with_ratings(n, rated[uid]) for n in nodules[uid]), tuple(ignored[uid]), tuple(decoys[uid])),
        )
        for uid, path in scans
    ]


def _findings(table: Path, needs: tuple[str, ...] = ()) -> dict[str, list[Finding]]:
    out: dict[str, list[Finding]] = defaultdict(list)
    for number, row in _rows(table, needs):
        try:
            diameter = float(row.get("diameter_mm") or -1)
            ratings = tuple(int(v) for v in json.loads(row.get("mal_details") or "[]"))
            finding = Finding(_place(row), diameter if diameter > 0 else POINT_MM, ratings)
        except (ValueError, TypeError) as error:
            raise InputRefused(f"{table}, line {number}: {error}; correct the table.") from error
        out[row["seriesuid"]].append(finding)
    return out


def _decoys(table: Path) -> dict[str, list[Triple]]:
    out: dict[str, list[Triple]] = defaultdict(list)
    for number, row in _rows(table, ("class",)):
        try:
            if int(row["class"]) == 0:
                out[row["seriesuid"]].append(_place(row))
        except (ValueError, TypeError) as error:
            raise InputRefused(f"{table}, line {number}: {error}; correct the table.") from error
    return out


def _rows(table: Path, needs: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """Line numbers and rows; none where there is no such table."""
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in (*_PLACE, *needs) if name not in (reader.fieldnames or ())]
        if missing:
            raise InputRefused(f"{table} has no column {missing[0]}; it is not a table of LUNA16.")
        return list(enumerate(reader, 2))


def _place(row: dict[str, str]) -> Triple:
    place = float(row["coordX"]), float(row["coordY"]), float(row["coordZ"])
    if not all(map(math.isfinite, place)):
        raise ValueError(f"a place of {place} mm")
    return place


def _with_ratings(nodule: Finding, rated: list[Finding]) -> Finding:
    """The ratings of the nearest row whose centre lies within the nodule."""
    near = min(rated, key=lambda r: math.dist(r.centre_xyz_mm, nodule.centre_xyz_mm), default=None)
    if near is None or math.dist(near.centre_xyz_mm, nodule.centre_xyz_mm) > nodule.diameter_mm / 2:
        return nodule
    return replace(nodule, ratings=near.ratings)
