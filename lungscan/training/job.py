"""One scan of a data set as a job: where its file is, and how its truth is found once it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lungscan.volume import Triple, Volume

Contour = tuple[float, Sequence[tuple[float, float]], bool]
"""z and the corners (x, y) of an outline in patient mm, and whether it is a border (True) or a hole (False)."""

POINT_MM = 10.0
"""Diameter of a finding that has none: what LUNA16's evaluation takes for it."""


@dataclass(frozen=True)
class Finding:
    """A nodule, or what is neither hit nor false positive. `readings` holds each reader's contours, where they drew any."""

    centre_xyz_mm: Triple
    diameter_mm: float
    ratings: tuple[int, ...] = ()
    readings: tuple[tuple[Contour, ...], ...] = ()


@dataclass(frozen=True)
class Findings:
    """The truth of one scan; `decoys_xyz_mm` are places that look like nodules and are none."""

    nodules: tuple[Finding, ...]
    ignored: tuple[Finding, ...] = ()
    decoys_xyz_mm: tuple[Triple, ...] = ()


class Job(Protocol):
    """Picklable, so that it can go to another process."""

    @property
    def name(self) -> str: ...

    @property
    def patient(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def series(self) -> str: ...

    def findings(self, volume: Volume) -> Findings:
        """The truth of the scan, as `lungscan.readers.read` gave it. Raises InputRefused when it cannot be read."""
        ...
