"""Scans as DICOM files with two balls for nodules, whose places are known, and how others read what we write of them."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lungscan.findings import Report
from lungscan.report.sample import sample_report
from lungscan.stages.outline import Cores
from lungscan.stages.segment import Heatmap
from lungscan.volume import Box, Volume
from tests.readers.files import chest_like

HU = chest_like()
RADII_MM = (13.0, 8.0)
PLACES_CRS = ((60.0, 40.0, 6.0), (100.0, 90.0, 14.0))  # where the balls are, from a corner of `HU`: column, row, slice


@dataclass(frozen=True)
class Examined:
    volume: Volume
    heatmap: Heatmap
    cores: Cores
    report: Report


def places_xyz_mm(axes: np.ndarray) -> list[np.ndarray]:
    """Centres of the balls in the scans of `tests.readers.files.dicom_folder`, by the formula of PS3.3, C.7.6.2.1.1."""
    return [np.array([-100.5, -90.25, 30.125]) + axes @ (np.array(at) * (1.35, 1.4, 5.0)) for at in PLACES_CRS]


def examined(volume: Volume, places: list[np.ndarray]) -> Examined:
    """A scan whose networks saw a ball at each place, on the grid they work on."""
    grid = volume.canonical().grid
    at = grid.xyz(np.stack(np.indices(grid.shape), axis=-1))
    values = np.zeros(grid.shape, np.float32)
    cores, nodules = {}, []
    report = sample_report()
    for row, place, radius in zip(report.nodules, places, RADII_MM, strict=False):
        inside = np.linalg.norm(at - place, axis=-1) <= radius
        values[inside] = 1
        xyz = tuple(float(mm) for mm in place)
        cores[xyz] = np.flatnonzero(inside)
        irc = volume.grid.irc(place)
        reach = radius / np.array(volume.grid.spacing_irc_mm) + 1
        box: Box = tuple((max(int(c - d), 0), int(c + d) + 2) for c, d in zip(irc, reach, strict=True))  # type: ignore[assignment]
        nodules.append(replace(row, centre_irc=tuple(irc.tolist()), centre_xyz_mm=xyz, box_irc=box))
    whole: Box = tuple((0, n) for n in grid.shape)  # type: ignore[assignment]
    facts = replace(report.input, series_uid=volume.source.series_uid)
    return Examined(volume, Heatmap(values, whole, grid), cores, replace(report, input=facts, nodules=tuple(nodules)))


def centroids_xyz_mm(file: Path) -> list[np.ndarray]:
    """Centroid of each segment, by number, from the geometry in the file (DICOM PS3.3, C.7.6.2.1.1)."""
    seg = pydicom.dcmread(file)
    shared = seg.SharedFunctionalGroupsSequence[0]
    row_step, column_step = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    r, c = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    points = defaultdict(list)
    for plane, own in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.array(own.PlanePositionSequence[0].ImagePositionPatient, float)
        number = own.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        points[number] += [corner + r * column_step * i + c * row_step * j for j, i in np.argwhere(plane)]
    return [np.mean(points[number], axis=0) for number in sorted(points)]


def errors_of_dciodvfy(file: Path) -> list[str]:
    """What David Clunie's validator (Debian's dicom3tools) finds wrong."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy: apt-get install dicom3tools")
    told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]
