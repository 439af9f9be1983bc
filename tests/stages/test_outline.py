"""Outlines on the file's own grid: as large as what was measured, where it was measured, on whatever grid the file has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lungscan.findings import Report
from lungscan.report.sample import sample_report
from lungscan.stages.outline import Cores, nodule_masks
from lungscan.stages.segment import Heatmap
from lungscan.volume import Box, Grid, Source, Volume

CENTRE_MM = np.array([12.0, -7.0, 40.0])
RADIUS_MM = 6.0


@dataclass(frozen=True)
class Scanned:
    volume: Volume
    heatmap: Heatmap
    cores: Cores
    report: Report


def ball_on(file_grid: Grid, radius_mm: float = RADIUS_MM) -> Scanned:
    """A ball at CENTRE_MM as the networks' grid has it, in a report on the file's grid."""
    grid = Grid((40, 50, 50), (2.0, 1.25, 1.25), (-20.0, -40.0, 0.0), np.eye(3))
    index = np.stack(np.indices(grid.shape), axis=-1)
    inside = np.linalg.norm(grid.xyz(index) - CENTRE_MM, axis=-1) <= radius_mm
    core = np.flatnonzero(inside)
    x, y, z = CENTRE_MM.tolist()
    i, r, c = file_grid.irc(CENTRE_MM).tolist()
    reach = [radius_mm / s for s in file_grid.spacing_irc_mm]
    box = tuple((int(max(at - d - 2, 0)), int(at + d + 3)) for at, d in zip((i, r, c), reach, strict=True))
    whole: Box = ((0, grid.shape[0]), (0, grid.shape[1]), (0, grid.shape[2]))
    report = sample_report()
    nodule = replace(
        report.nodules[0],
        centre_irc=(i, r, c),
        centre_xyz_mm=(x, y, z),
        box_irc=(box[0], box[1], box[2]),
        volume_mm3=len(core) * grid.voxel_mm3,
    )
    volume = Volume(np.zeros(file_grid.shape, np.int16), file_grid, Source("scan", "MetaIO", "1.2"))
    heat = Heatmap(inside.astype(np.float32), whole, grid)
    return Scanned(volume, heat, {(x, y, z): core}, replace(report, nodules=(nodule,)))


TILTED = Rotation.from_euler("xyz", (9, 14, -11), degrees=True).as_matrix()
GRIDS = {
    "finer": Grid((60, 110, 110), (1.0, 0.7, 0.7), (-20.0, -40.0, 10.0), np.eye(3)),
    "thick slices": Grid((20, 110, 110), (5.0, 0.7, 0.7), (-20.0, -40.0, 0.0), np.eye(3)),
    "flipped": Grid((60, 110, 110), (1.0, 0.7, 0.7), (50.0, 30.0, 70.0), np.diag([-1.0, -1.0, -1.0])),
    "oblique": Grid(
        (70, 120, 120),
        (1.0, 0.7, 0.7),
        (-35.0, -35.0, 5.0),
        Rotation.from_euler("xyz", (9, 14, -11), degrees=True).as_matrix(),
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_ball_keeps_its_place_and_size(name: str) -> None:
    grid = GRIDS[name]
    scanned = ball_on(grid)
    (outline,) = nodule_masks(scanned)
    away = np.abs(grid.irc(CENTRE_MM) - outline.centroid_irc())
    assert (away < 0.5).all()
    assert outline.mask.sum() * grid.voxel_mm3 == pytest.approx(
        scanned.report.nodules[0].volume_mm3, rel=0.12 if name == "thick slices" else 0.05
    )


def test_what_is_thinner_than_the_file_s_slices_keeps_a_voxel() -> None:
    grid = Grid((8, 60, 60), (12.0, 1.3, 1.3), (-20.0, -40.0, 2.0), np.eye(3))
    (outline,) = nodule_masks(ball_on(grid, 1.0))
    assert outline.mask.sum() == 1
    assert np.abs(grid.irc(CENTRE_MM) - outline.centroid_irc()).max() <= 0.5


def test_tissue_comes_before_the_air_beside_it() -> None:
    """A ball outlined a voxel too far to one side: there the file has air, so nearly all that it draws is the ball."""
    grid = GRIDS["finer"]
    scanned = ball_on(grid)
    index = np.stack(np.indices(grid.shape), axis=-1)
    tissue = np.linalg.norm(grid.xyz(index) - CENTRE_MM + (0.7, 0, 0), axis=-1) <= RADIUS_MM
    hu = np.where(tissue, 40, -950).astype(np.int16)
    (flat,) = nodule_masks(scanned)
    (dense,) = nodule_masks(replace(scanned, volume=replace(scanned.volume, hu=hu)))
    inside = [tissue[tuple(slice(a, b) for a, b in m.box_irc)][m.mask].mean() for m in (flat, dense)]
    assert inside[1] > max(inside[0], 0.97)
    assert dense.mask.sum() == pytest.approx(flat.mask.sum(), rel=0.02)
