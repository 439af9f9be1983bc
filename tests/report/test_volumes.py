"""Label masks and probability maps, read back by SimpleITK, nibabel and pynrrd: voxels lie where the scan has them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from lungscan.report.volumes import write_mask, write_probability
from tests.report.made import BALLS, LAYOUTS, Made, distance, made

layouts = pytest.mark.parametrize("layout", LAYOUTS)
suffixes = pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])


def of(layout: str) -> Made:
    orientation, oblique = LAYOUTS[layout]
    return made(orientation, oblique=oblique)


def same_place(image: sitk.Image, scan: Made) -> None:
    grid = scan.volume.grid
    assert image.GetSize() == grid.shape[::-1]
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_irc_mm[::-1], atol=1e-5)
    np.testing.assert_allclose(image.GetOrigin(), grid.origin_xyz_mm, atol=1e-4)
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)), grid.direction, atol=1e-6)


@layouts
@suffixes
def test_a_label_lies_where_its_nodule_lies(layout: str, suffix: str, tmp_path: Path) -> None:
    scan = of(layout)
    (path,) = write_mask(scan, tmp_path, suffix)
    assert path == tmp_path / f"nodules{suffix}"
    image = sitk.ReadImage(str(path))
    same_place(image, scan)
    labels = sitk.LabelShapeStatisticsImageFilter()
    labels.Execute(image)
    assert labels.GetLabels() == (1, 2)
    for label, (centre, radius) in enumerate(BALLS, start=1):
        np.testing.assert_allclose(labels.GetCentroid(label), centre, atol=0.5)
        assert labels.GetPhysicalSize(label) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.08)


@layouts
def test_nifti_is_right_anterior_superior(layout: str, tmp_path: Path) -> None:
    (path,) = write_mask(of(layout), tmp_path, ".nii.gz")
    image = nibabel.load(path)
    values = np.asarray(image.dataobj)
    for label, (centre, _) in enumerate(BALLS, start=1):
        x, y, z = nibabel.affines.apply_affine(image.affine, np.argwhere(values == label)).mean(axis=0)
        np.testing.assert_allclose((-x, -y, z), centre, atol=0.5)


def test_nrrd_is_left_posterior_superior(tmp_path: Path) -> None:
    (path,) = write_mask(of("RAS"), tmp_path, ".nrrd")
    values, header = nrrd.read(str(path))
    assert header["space"] == "left-posterior-superior"
    for label, (centre, _) in enumerate(BALLS, start=1):
        index = np.argwhere(values == label).mean(axis=0)
        np.testing.assert_allclose(index @ header["space directions"] + header["space origin"], centre, atol=0.5)


@layouts
@suffixes
def test_the_probability_is_the_heatmap_s(layout: str, suffix: str, tmp_path: Path) -> None:
    """1 / (1 + exp(2 (distance - radius))) in closed form, as linear interpolation between voxels of 1.5 mm sees it."""
    scan = of(layout)
    (path,) = write_probability(scan, tmp_path, suffix)
    image = sitk.ReadImage(str(path))
    same_place(image, scan)
    p = sitk.GetArrayFromImage(image)
    assert p.dtype == np.float32
    away = [distance(scan.volume.grid, centre) for centre, _ in BALLS]
    expected = np.max([1 / (1 + np.exp(2 * (d - radius))) for d, (_, radius) in zip(away, BALLS, strict=True)], axis=0)
    assert np.abs(p - expected).max() < 0.2
    assert np.abs(p - expected).mean() < 0.002
    index = np.array(scan.heatmap.grid.irc(scan.volume.grid.xyz(np.argwhere(p > 0))))
    assert (index > -1).all()
    assert (index < scan.heatmap.values.shape).all()


def test_where_outlines_meet_the_first_nodule_has_the_voxel(tmp_path: Path) -> None:
    from dataclasses import replace

    scan = made()
    first, second = scan.report.nodules
    twice = replace(second, centre_xyz_mm=first.centre_xyz_mm, centre_irc=first.centre_irc, box_irc=first.box_irc)
    scan = replace(scan, report=replace(scan.report, nodules=(first, twice)))
    (path,) = write_mask(scan, tmp_path, ".mha")
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))) == {0, 1}


@suffixes
def test_the_same_scan_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (mask,) = write_mask(made(), tmp_path / name, suffix)
        (probability,) = write_probability(made(), tmp_path / name, suffix)
        written.append((mask.read_bytes(), probability.read_bytes()))
    assert written[0] == written[1]
