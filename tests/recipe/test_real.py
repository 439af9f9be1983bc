"""The real scans' truth against LUNA16's annotations, and against the contours' own volumes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from lungscan.recipe.real import four_d_lung, grown, lung_dx
from lungscan.training.masks import filled


def test_a_polygon_holds_the_pixels_whose_centres_it_surrounds() -> None:
    square = np.array([(1.5, 1.5), (1.5, 5.5), (4.5, 5.5), (4.5, 1.5)])
    inside = filled(square, (8, 8))
    assert inside.sum() == 3 * 4
    assert inside[2:5, 2:6].all()


def test_a_disc_has_its_area() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    disc = np.column_stack([30.2 + 20 * np.sin(angle), 29.7 + 20 * np.cos(angle)])
    assert filled(disc, (60, 60)).sum() == pytest.approx(math.pi * 400, rel=0.01)


def test_the_tumour_of_4d_lung_is_where_its_structure_set_says(data: Path) -> None:
    truth = four_d_lung(data / "4d-lung" / "113_HM10395.zip", "113")
    with (data / "4d-lung" / "113_HM10395_rois.csv").open(newline="") as file:
        tumour = next(r for r in csv.DictReader(file) if r["roi"].startswith("Tumor"))
    voxels = np.argwhere(truth.label == 1)
    assert len(voxels) * truth.volume.grid.voxel_mm3 / 1000 == pytest.approx(float(tumour["volume_cc"]), rel=0.03)
    centre = truth.volume.grid.xyz(voxels.mean(axis=0))
    assert math.dist(centre, [float(tumour[f"{axis}_mm"]) for axis in "xyz"]) < 2


def test_the_mass_of_lung_dx_and_the_grown_nodule_have_plausible_sizes(data: Path) -> None:
    mass = lung_dx(data / "lung-dx" / "A0001.zip", "A0001")
    assert 40 < _diameter(mass.label, mass.volume.grid.voxel_mm3) < 70
    nodule = grown(data / "cptac-lscc" / "C3N-00247.zip", "C3N-00247", (-80.8, -191.4, -191.0))
    assert 14 < _diameter(nodule.label, nodule.volume.grid.voxel_mm3) < 22


def _diameter(label: np.ndarray, voxel_mm3: float) -> float:
    return float((6 * (label == 1).sum() * voxel_mm3 / math.pi) ** (1 / 3))
