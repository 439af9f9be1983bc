"""A phantom chest, moved and with balls painted in: two scans of one patient whose truth is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from lungscan.findings import CandidateCounts, Nodule, Report, Thresholds
from lungscan.report.sample import sample_report
from lungscan.stages.outline import Cores
from lungscan.stages.segment import Heatmap
from lungscan.volume import Array, Grid, Source, Volume, triple

THRESHOLD = 0.5


@dataclass(frozen=True)
class Ball:
    xyz_mm: tuple[float, float, float]
    diameter_mm: float
    hu: int = 40
    p_nodule: float = 0.9


@dataclass(frozen=True)
class Scan:
    """What `lungscan.pipeline.Examination` gives to a comparison."""

    volume: Volume
    heatmap: Heatmap
    cores: Cores
    report: Report


def rigid(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Array:
    """(3,4): a turn about the origin, then a shift."""
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*(math.radians(d) for d in degrees))
    return np.column_stack([np.reshape(turn.GetMatrix(), (3, 3)), shift_mm])


def at(matrix: Array, xyz: tuple[float, float, float]) -> tuple[float, float, float]:
    return triple(matrix[:, :3] @ np.asarray(xyz) + matrix[:, 3])


def moved(volume: Volume, matrix: Array) -> Volume:
    """The volume on its own grid with every point x moved to `matrix` x, by SimpleITK."""
    inverse = sitk.AffineTransform(3)
    inverse.SetMatrix(matrix[:, :3].ravel())
    inverse.SetTranslation(matrix[:, 3])
    inverse = inverse.GetInverse()
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.hu))
    image.SetSpacing(volume.grid.spacing_irc_mm[::-1])
    image.SetOrigin(volume.grid.origin_xyz_mm)
    image.SetDirection(volume.grid.direction.ravel())
    hu = sitk.GetArrayFromImage(sitk.Resample(image, image, inverse, sitk.sitkLinear, -1024))
    return replace(volume, hu=hu.astype(np.int16))


def inside(grid: Grid, ball: Ball) -> np.ndarray:
    """Indices (N,3) of the voxels whose centres the ball holds."""
    reach = [math.ceil(ball.diameter_mm / 2 / s) + 1 for s in grid.spacing_irc_mm]
    around = [np.arange(-n, n + 1) + round(k) for n, k in zip(reach, grid.irc(ball.xyz_mm), strict=True)]
    voxels = np.stack(np.meshgrid(*around, indexing="ij"), axis=-1).reshape(-1, 3)
    return voxels[np.linalg.norm(grid.xyz(voxels) - ball.xyz_mm, axis=1) <= ball.diameter_mm / 2]


def scan(volume: Volume, balls: list[Ball], path: str, **facts: str) -> Scan:
    """The volume with balls painted in, and what networks would say if they were right."""
    hu, grid = volume.hu.copy(), volume.grid
    values = np.zeros(grid.shape, np.float32)
    rows, cores = [], {}
    for k, ball in enumerate(balls, start=1):
        voxels = inside(grid, ball)
        hu[tuple(voxels.T)], values[tuple(voxels.T)] = ball.hu, 1
        (i0, r0, c0), (i1, r1, c1) = voxels.min(axis=0).tolist(), (voxels.max(axis=0) + 1).tolist()
        centre = triple(grid.irc(ball.xyz_mm))
        row = Nodule(
            id=k,
            centre_irc=centre,
            centre_xyz_mm=ball.xyz_mm,
            slice=round(centre[0]),
            diameter_mm=ball.diameter_mm,
            volume_mm3=math.pi / 6 * ball.diameter_mm**3,
            box_irc=((i0, i1), (r0, r1), (c0, c1)),
            hu_mean=float(ball.hu),
            hu_max=ball.hu,
            p_segmentation=1.0,
            p_nodule=ball.p_nodule,
            p_malignant=None,
            suspicious=None,
        )
        rows.append(row)
        cores[row.centre_xyz_mm] = np.ravel_multi_index(tuple(voxels.T), grid.shape)
    kept = tuple(row for row in rows if row.p_nodule >= THRESHOLD)
    report = sample_report()
    settings = replace(report.settings, thresholds=Thresholds(0.5, THRESHOLD, 0.5))
    counts = CandidateCounts(len(rows), len(kept), tuple(rows))
    report = replace(report, nodules=kept, candidates=counts, settings=settings)
    source = Source(path, "phantom", "1.2.3", facts=facts)
    box = ((0, grid.shape[0]), (0, grid.shape[1]), (0, grid.shape[2]))
    return Scan(replace(volume, hu=hu, source=source), Heatmap(values, box, grid), cores, report)
