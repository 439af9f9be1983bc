"""LIDC-IDRI: DICOM with up to four readers' marks in XML beside it (Armato et al., Medical Physics 38(2), 2011).

A reader drew every nodule of 3 mm or more, slice by slice, and rated it; smaller ones and what is no nodule are points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy import ndimage

from lungscan.errors import InputRefused
from lungscan.readers import dicom
from lungscan.readers.apart import at_hand
from lungscan.readers.archive import Member, members
from lungscan.readers.dicom_slice import Slice
from lungscan.training.job import POINT_MM, Contour, Finding, Findings
from lungscan.training.masks import Mask, contour_part
from lungscan.volume import Box, Grid, Triple, Volume, series_hash, triple

AGREED = 3
"""Readers who must have drawn a nodule for it to count, as in LUNA16; fewer: it is ignored."""

_HEAD = 8192  # bytes: the response header comes first
_SERIES = re.compile(rb"<SeriesInstanceUid>\s*([0-9.]+)\s*</SeriesInstanceUid>")
_PATIENT = re.compile(r"LIDC-IDRI-\d{4}")


@dataclass(frozen=True)
class Readings:
    """The readers' XML of a series: a file in the folder `place`, or a member of the zip."""

    place: Path
    name: str

    def data(self) -> bytes:
        return next(m for m in members(self.place, depth=0) if m.name == self.name).data()


@dataclass(frozen=True)
class LidcJob:
    """A series in the folder or zip `path`, and its readings, None where the data set has none."""

    path: Path
    patient: str
    series: str
    readings: Readings | None

    @property
    def name(self) -> str:
        return f"{self.patient}-{series_hash(self.series)}"

    def findings(self, volume: Volume) -> Findings:
        """The readers' marks, clustered. Raises InputRefused where there are none, or what is there is of another scan."""
        if self.readings is None:
            raise InputRefused(f"{self.path}: the data set holds no readings (XML) of the series {self.series}.")
        data = self.readings.data()
        try:
            marks, points = _marks(ElementTree.fromstring(data), volume.grid)
        except (ElementTree.ParseError, ValueError, TypeError, AttributeError) as error:
            raise InputRefused(f"{self.path}: the readings in {self.readings.name} cannot be read ({error}).") from error
        grid = volume.canonical().grid
        readings = [_reading(mark, grid) for mark in marks]
        clusters = [[readings[k] for k in cluster] for cluster in cluster_readings(readings)]
        nodules = [_finding(c) for c in clusters if len({r.reader for r in c}) >= AGREED]
        fewer = [_finding(c) for c in clusters if len({r.reader for r in c}) < AGREED]
        return Findings(tuple(nodules), (*fewer, *(Finding(p, POINT_MM) for p in points)))


@dataclass(frozen=True)
class Mark:
    """One reader's drawing of one nodule, in patient mm."""

    reader: int
    rating: int | None
    contours: tuple[Contour, ...]


@dataclass(frozen=True)
class Reading:
    """A mark on the scan's grid."""

    mark: Mark
    centre_xyz_mm: Triple
    diameter_mm: float
    box: Box
    mask: Mask

    @property
    def reader(self) -> int:
        return self.mark.reader


def jobs(folder: Path) -> list[LidcJob]:
    """Every series of DICOM folders or zips in a folder, by patient and UID; the first of doubles counts.

    A series has its readings beside its slices, or anywhere else in the folder. None where there are no readings at all.
    """
    readings: dict[str, Readings] = {}
    series: list[tuple[str, Path, str]] = []
    for place, inside in _places(folder):
        own = _readings(place, inside)
        readings = own | readings
        image = _first_image(inside)
        if image is not None:
            series += [(uid, place, image.name) for uid in own or [image.series_uid]]
        elif place.is_file() and not own:  # a zip that `read` will refuse, and say why
            series.append((place.stem, place, ""))
    found: dict[str, LidcJob] = {}
    for uid, place, name in series if readings else ():
        label = _PATIENT.search(f"{place.relative_to(folder)}/{name}") or _PATIENT.search(str(place))
        below = place.relative_to(folder).parts
        patient = label.group() if label else below[0].removesuffix(".zip") if below else uid
        found.setdefault(uid, LidcJob(place, patient, uid, readings.get(uid)))
    return sorted(found.values(), key=lambda job: (job.patient, job.series))


def _places(folder: Path) -> Iterator[tuple[Path, list[Member]]]:
    """The folder and those below with their own files, then the zips with their members; none for a damaged zip."""
    for place in sorted(path for path in (folder, *folder.rglob("*")) if path.is_dir()):
        yield place, list(members(place, depth=0))
    for path in sorted(folder.rglob("*.zip")):
        try:
            yield path, list(members(path))
        except InputRefused:
            yield path, []


def _readings(place: Path, inside: Sequence[Member]) -> dict[str, Readings]:
    """By series; the first XML of one counts."""
    out: dict[str, Readings] = {}
    for member in inside:
        if member.name.lower().endswith(".xml"):
            with member.open() as file:
                head = file.read(_HEAD)
            series = _SERIES.search(head)
            if series is not None and b"<LidcReadMessage" in head:
                out.setdefault(series.group(1).decode(), Readings(place, member.name))
    return out


def _first_image(inside: Sequence[Member]) -> Slice | None:
    with at_hand():
        for member in inside:
            try:
                for image in dicom.slices([member]):
                    return image
            except InputRefused:  # one damaged slice: `read` will say so
                continue
    return None


def _marks(root: ElementTree.Element, grid: Grid) -> tuple[list[Mark], list[Triple]]:
    """Nodules that were drawn; centres of smaller ones and of what is none."""
    marks: list[Mark] = []
    points: list[Triple] = []
    for reader, session in enumerate(root.iterfind("{*}readingSession")):
        for nodule in session.iterfind("{*}unblindedReadNodule"):
            contours = tuple(_contour(roi, grid) for roi in nodule.iterfind("{*}roi"))
            rating = nodule.findtext("{*}characteristics/{*}malignancy")
            if sum(len(corners) for _, corners, _ in contours) > 1:
                marks.append(Mark(reader, int(rating) if rating else None, contours))
            elif contours:
                z, corners, _ = contours[0]
                points.append((*corners[0], z))
        for other in session.iterfind("{*}nonNodule"):
            locus = other.find("{*}locus")
            if locus is not None:
                z = float(str(other.findtext("{*}imageZposition")))
                points.append((*_corner(locus, z, grid), z))
    return marks, points


def _contour(roi: ElementTree.Element, grid: Grid) -> Contour:
    z = float(str(roi.findtext("{*}imageZposition")))
    corners = [_corner(edge, z, grid) for edge in roi.iterfind("{*}edgeMap")]
    if not corners:
        raise ValueError("an outline without a point")
    return z, corners, str(roi.findtext("{*}inclusion")).strip().upper() == "TRUE"


def _corner(edge: ElementTree.Element, z: float, grid: Grid) -> tuple[float, float]:
    """x and y in mm of a pixel (column, row), counted from 0, on the slice at height z."""
    column, row = float(str(edge.findtext("{*}xCoord"))), float(str(edge.findtext("{*}yCoord")))
    in_plane = grid.xyz((0.0, row, column))
    step = grid.direction[:, 2]
    x, y, _ = in_plane + step * (z - in_plane[2]) / step[2]
    return float(x), float(y)


def _reading(mark: Mark, grid: Grid) -> Reading:
    box, mask = contour_part(grid, mark.contours)
    centre = grid.part(box).xyz(np.argwhere(mask).mean(axis=0))
    diameter = (6 * float(mask.sum()) * grid.voxel_mm3 / np.pi) ** (1 / 3)
    return Reading(mark, triple(centre), diameter, box, mask)


def cluster_readings(readings: Sequence[Reading]) -> list[list[int]]:
    """Indices of the readings of each nodule, by first reading.

    Two readings are of one nodule when their centres are nearer than the smaller radius or their masks touch. The nearest
    are joined first, and no cluster takes a second reading of a reader: that stays one of its own.
    """
    pairs = []
    for a, one in enumerate(readings):
        for b, other in enumerate(readings[:a]):
            apart = float(np.linalg.norm(np.subtract(one.centre_xyz_mm, other.centre_xyz_mm)))
            if apart < min(one.diameter_mm, other.diameter_mm) / 2 or _touch(one, other):
                pairs.append((apart, b, a))
    cluster = {k: [k] for k in range(len(readings))}
    for _, a, b in sorted(pairs):
        ours, theirs = cluster[a], cluster[b]
        if ours is theirs or {readings[k].reader for k in ours} & {readings[k].reader for k in theirs}:
            continue
        ours.extend(theirs)
        cluster |= dict.fromkeys(theirs, ours)
    distinct = {id(members): members for members in cluster.values()}
    return sorted(sorted(members) for members in distinct.values())


def _touch(one: Reading, other: Reading) -> bool:
    """Whether voxels of both coincide or share a face."""
    low = [min(a[0], b[0]) - 1 for a, b in zip(one.box, other.box, strict=True)]
    high = [max(a[1], b[1]) + 1 for a, b in zip(one.box, other.box, strict=True)]
    if any(a[1] < b[0] or b[1] < a[0] for a, b in zip(one.box, other.box, strict=True)):
        return False
    pads = [
        np.pad(r.mask, [(a - lo, hi - b) for (a, b), lo, hi in zip(r.box, low, high, strict=True)]) for r in (one, other)
    ]
    return bool((ndimage.binary_dilation(pads[0]) & pads[1]).any())


def _finding(readings: Sequence[Reading]) -> Finding:
    """The readers' mean centre and diameter, as LUNA16 takes them, and what each of them drew and gave."""
    centre = triple(np.mean([r.centre_xyz_mm for r in readings], axis=0))
    diameter = float(np.mean([r.diameter_mm for r in readings]))
    ratings = tuple(r.mark.rating for r in readings if r.mark.rating is not None)
    return Finding(centre, diameter, ratings, tuple(r.mark.contours for r in readings))
