"""Real scans moved by a known transform: the transform comes back; scans of two patients are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungscan.comparison.registration import align
from lungscan.errors import InputRefused
from lungscan.readers import read
from lungscan.stages.lungs import Lungs, find_lungs
from lungscan.volume import Array, Volume
from tests.comparison.made import moved, rigid

WITHIN_MM = 1.0
"""The bound on the recovered place of every point in the lungs; blocks are 3 mm wide."""


@pytest.fixture(scope="module")
def real(data: Path) -> tuple[Volume, Lungs]:
    return thinned(data / "lidc" / "LIDC-IDRI-0001.zip")


def thinned(path: Path) -> tuple[Volume, Lungs]:
    """Every second row and column: as good for blocks of 3 mm, and quicker."""
    volume = read(path).canonical()
    i, r, c = volume.grid.spacing_irc_mm
    hu = volume.hu[:, ::2, ::2]
    volume = replace(volume, hu=hu, grid=replace(volume.grid, shape=hu.shape, spacing_irc_mm=(i, 2 * r, 2 * c)))
    return volume, find_lungs(volume)


def worst_mm(found: Array, truth: Array, lungs: Lungs) -> float:
    """Largest distance between where two transforms (3,4) put the points of the lungs."""
    points = lungs.grid.xyz(np.argwhere(lungs.mask)[::20])
    difference = found - truth
    return float(np.linalg.norm(points @ difference[:, :3].T + difference[:, 3], axis=1).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degrees", "shift_mm", "stretch"),
    [((3, -2, 3), (10, -8, 12), (1.0, 1.0, 1.0)), ((-4, 3, -3), (-15, 5, -20), (1.03, 0.97, 1.06))],
)
def test_a_known_transform_of_a_real_scan_comes_back(real, degrees, shift_mm, stretch) -> None:
    volume, lungs = real
    centre = volume.grid.xyz((np.array(volume.grid.shape) - 1) / 2)
    truth = rigid(degrees, shift_mm)
    truth[:, :3] = truth[:, :3] @ np.diag(stretch)
    truth[:, 3] += centre - truth[:, :3] @ centre  # about the middle of the chest
    now = moved(volume, truth)
    alignment = align(volume, lungs, now, find_lungs(now))
    assert worst_mm(alignment.matrix, truth, lungs) < WITHIN_MM
    assert alignment.correlation > 0.97
    assert alignment.dice > 0.94
    points = lungs.grid.xyz(np.argwhere(lungs.mask)[::999])
    np.testing.assert_allclose(alignment.back(alignment(points)), points, atol=1e-9)


@pytest.mark.slow
def test_a_part_of_the_scan_is_found_in_the_whole(real) -> None:
    volume, lungs = real
    n, rows, columns = volume.grid.shape
    box = ((n * 2 // 5, n), (0, rows), (0, columns))
    part = replace(volume, hu=volume.hu[box[0][0] :], grid=volume.grid.part(box))
    alignment = align(part, find_lungs(part), volume, lungs)
    assert worst_mm(alignment.matrix, np.eye(3, 4), lungs) < WITHIN_MM


@pytest.mark.slow
def test_scans_of_two_patients_are_refused_with_the_figure(real, data: Path) -> None:
    other, lungs = thinned(data / "lidc" / "LIDC-IDRI-0003.zip")
    with pytest.raises(InputRefused, match=r"correlate by 0\.[0-7]\d instead of at least 0\.8"):
        align(*real, other, lungs)
