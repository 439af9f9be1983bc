"""A made-up scan with two balls in it, as the pipeline would leave it: what is drawn and written can be worked out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from lungscan.clinical.assess import Assessment
from lungscan.comparison.compare import Comparison
from lungscan.findings import CandidateCounts, InputFacts, Nodule, Report
from lungscan.phantom.writers import orient
from lungscan.report.sample import sample_report
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Flat, Grid, Source, Triple, Volume, triple

LUNG_HU, TISSUE_HU = -850, 40
SPACING = (2.5, 1.0, 1.25)
SHAPE = (36, 96, 80)
BALLS = (((21.0, -12.0, 6.0), 9.0), ((-24.0, 10.0, -10.0), 6.0))
"""Centres in patient mm about the middle of the scan, the first on the patient's left, and radii in mm."""

TILT = math.radians(12)


@dataclass(frozen=True)
class Made:
    """Stands in for `lungscan.pipeline.Examination`."""

    volume: Volume
    heatmap: Heatmap
    cores: Mapping[Triple, Flat]
    report: Report
    lungs: Lungs | None
    assessment: Assessment | None = None
    comparison: Comparison | None = None


@cache
def made(orientation: str = "LPS", *, oblique: bool = False, lungs: bool = True, facts: InputFacts | None = None) -> Made:
    """Lung with two balls of tissue; the heatmap lies on a finer grid, as after resampling."""
    c, s = math.cos(TILT), math.sin(TILT)
    direction = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) if oblique else np.eye(3)
    grid = centred(SHAPE, SPACING, direction)
    hu = np.full(SHAPE, LUNG_HU, np.int16)
    for centre, radius in BALLS:
        hu[distance(grid, centre) <= radius] = TISSUE_HU
    canonical = Volume(hu, grid, Source("made.mhd", "metaio", "1.2.3"))
    volume = orient(canonical, orientation)

    whole = centred((50, 64, 66), (1.8, 1.5, 1.5), direction)
    box = ((4, 46), (5, 60), (2, 64))
    on = whole.part(box)
    p = np.max([1 / (1 + np.exp(2 * (distance(on, centre) - radius))) for centre, radius in BALLS], axis=0)
    cores = {centre: np.flatnonzero(distance(on, centre) <= radius) for centre, radius in BALLS}
    nodules = tuple(nodule(k, volume.grid, *ball) for k, ball in enumerate(BALLS, start=1))
    report = replace(
        sample_report(),
        input=facts or described(volume),
        nodules=nodules,
        candidates=CandidateCounts(5, 2, nodules),
    )
    coarse = centred((24, 26, 27), (3.75, 3.75, 3.75), direction)
    inside = Lungs(np.ones(coarse.shape, np.bool_), coarse, 2000.0) if lungs else None
    return Made(volume, Heatmap(p.astype(np.float32), box, on), cores, report, inside)


def centred(shape: tuple[int, int, int], spacing: Triple, direction: np.ndarray) -> Grid:
    """A grid whose middle is the patient's origin."""
    grid = Grid(shape, spacing, (0.0, 0.0, 0.0), direction)
    return replace(grid, origin_xyz_mm=triple(-grid.xyz((np.array(shape) - 1) / 2)))


def distance(grid: Grid, centre: Triple) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(grid.xyz(index) - centre, axis=-1))


def nodule(id_: int, grid: Grid, centre: Triple, radius: float) -> Nodule:
    near = np.argwhere(distance(grid, centre) <= radius)
    a, b, c = zip(near.min(axis=0).tolist(), (near.max(axis=0) + 1).tolist(), strict=True)
    at = triple(grid.irc(centre))
    return replace(
        sample_report().nodules[0],
        id=id_,
        centre_irc=at,
        centre_xyz_mm=centre,
        slice=round(at[0]),
        diameter_mm=2 * radius,
        volume_mm3=4 / 3 * math.pi * radius**3,
        box_irc=(a, b, c),
        suspicious=id_ == 1,
    )


def described(volume: Volume) -> InputFacts:
    grid = volume.grid
    a, b, c = (triple(row) for row in grid.direction)
    return replace(
        sample_report().input,
        path="somewhere/made.mhd",
        series_uid="1.2.3",
        shape_irc=grid.shape,
        spacing_irc_mm=grid.spacing_irc_mm,
        origin_xyz_mm=grid.origin_xyz_mm,
        direction=(a, b, c),
    )


LAYOUTS = {
    "LPS": ("LPS", False),
    "RAS": ("RAS", False),
    "AIR": ("AIR", False),
    "RPS": ("RPS", False),
    "oblique": ("LAI", True),
}
"""Files as they come: in order, flipped, with slices to the side, mirrored, and tilted by 12 degrees."""
