"""The phantom is a chest, and its truth lies where the voxels say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from lungscan.phantom import Phantom, PhantomNodule, make_chest
from lungscan.phantom.nodules import KINDS, draw, shape_of
from lungscan.phantom.scanner import rotation
from lungscan.volume import Grid

COARSE = (5.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def clean() -> Phantom:
    """A noiseless chest with an isolated solid nodule of 15.7 mm."""
    return make_chest(3, 1, spacing_irc_mm=(2.5, 1.5, 1.5), noise=False)


def hu_at(phantom: Phantom, xyz: tuple[float, float, float]) -> float:
    return float(ndimage.map_coordinates(phantom.volume.hu.astype(float), phantom.volume.grid.irc([xyz]).T, order=1)[0])


def test_the_same_seed_gives_the_same_bytes() -> None:
    def digest(index: int) -> str:
        phantom = make_chest(7, index, spacing_irc_mm=COARSE)
        return hashlib.sha256(
            phantom.volume.hu.tobytes() + repr((phantom.nodules, phantom.volume.grid)).encode()
        ).hexdigest()

    first = digest(1)
    assert digest(1) == first
    assert digest(2) != first


def test_spacing_and_noise_change_neither_patient_nor_truth() -> None:
    a = make_chest(3, 1, spacing_irc_mm=COARSE)
    b = make_chest(3, 1, spacing_irc_mm=(6.0, 3.0, 3.0), noise=False)
    assert a.nodules == b.nodules


def test_both_lungs_hold_as_much_air_as_an_adults(clean: Phantom) -> None:
    aerated = (clean.volume.hu > -965) & (clean.volume.hu < -650)
    labels, count = ndimage.label(aerated)
    sizes = ndimage.sum_labels(aerated, labels, range(1, count + 1)) * clean.volume.grid.voxel_mm3 / 1000
    left_and_right = np.sort(sizes)[-2:]
    assert (left_and_right > 1200).all()
    assert 3000 < left_and_right.sum() < 6500


def test_tissues_have_their_densities(clean: Phantom) -> None:
    assert hu_at(clean, (22, -24, -58)) == pytest.approx(100, abs=110)  # the heart's blood, with contrast or without
    assert hu_at(clean, (0, 10, 100)) < -900  # the trachea
    assert hu_at(clean, (0, -150, 0)) < -980  # the air before the patient
    i, r, c = clean.volume.grid.irc((0, 55, 0)).round().astype(int)
    assert clean.volume.hu[i - 5 : i + 6, r - 10 : r + 11, c - 10 : c + 11].max() > 400  # cortical bone of the spine
    assert hu_at(clean, (-60, 0, -110)) == pytest.approx(80, abs=50)  # the liver below the right dome


def test_noise_is_that_of_a_chest_ct(clean: Phantom) -> None:
    noisy = make_chest(3, 1, spacing_irc_mm=(2.5, 1.5, 1.5))
    added = noisy.volume.hu[30:80, 100:130, 100:130].astype(float) - clean.volume.hu[30:80, 100:130, 100:130]
    assert 12 < added.std() < 42
    assert abs(added.mean()) < 1
    neighbours = np.corrcoef(added[:, :, 1:].ravel(), added[:, :, :-1].ravel())[0, 1]
    assert 0.2 < neighbours < 0.9  # correlated, as a reconstruction kernel leaves it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("diameter", [6.0, 15.0, 28.0])
def test_a_nodule_is_drawn_with_its_volume_around_its_centre(kind: str, diameter: float) -> None:
    """Alone in uniform lung, on an oblique grid of 1 mm: centre of mass within half a voxel, diameter within a tenth."""
    grid = Grid((72, 72, 72), (1.0, 1.0, 1.0), (-30.0, -40.0, -35.0), rotation(1, 0.1))
    centre = tuple(float(v) for v in grid.xyz((35.3, 36.4, 34.8)))
    nodule = PhantomNodule(centre, diameter, kind, (3, 3, 3, 3))
    shape = shape_of(nodule, np.random.default_rng(5))
    hu = np.full(grid.shape, -860, dtype=np.float32)
    draw(hu, grid, shape)
    body = hu > (-860 + shape.hu) / 2
    tolerance = 0.1
    if kind == "spiculated":  # the strands do not count: an opening by two voxels takes them off
        body = ndimage.binary_opening(body, iterations=2)
        tolerance = 0.2
    found = 2 * (3 * body.sum() / (4 * np.pi)) ** (1 / 3)
    assert found == pytest.approx(diameter, rel=tolerance)
    assert np.linalg.norm(grid.xyz(ndimage.center_of_mass(body)) - centre) < 0.5


def test_the_truth_is_where_the_voxels_are(clean: Phantom) -> None:
    """The middle half of every nodule is denser than lung: -800 for ground glass, -300 for solid ones."""
    i, r, c = np.indices(clean.volume.hu.shape)
    places = clean.volume.grid.xyz(np.stack([i, r, c], axis=-1))
    for nodule in clean.nodules:
        inside = np.linalg.norm(places - nodule.centre_xyz_mm, axis=-1) < max(nodule.diameter_mm / 4, 1.5)
        floor = -800 if nodule.kind in ("ground-glass", "part-solid") else -300
        assert inside.sum() >= 1
        assert np.mean(clean.volume.hu[inside] > floor) > 0.95, nodule


def test_nodules_are_few_apart_and_of_the_sizes_promised(clean: Phantom) -> None:
    assert 2 <= len(clean.nodules) <= 7
    for k, nodule in enumerate(clean.nodules):
        assert 4 <= nodule.diameter_mm <= 30
        assert all(1 <= rating <= 5 for rating in nodule.ratings)
        for other in clean.nodules[:k]:
            gap = np.linalg.norm(np.subtract(nodule.centre_xyz_mm, other.centre_xyz_mm))
            assert gap > (nodule.diameter_mm + other.diameter_mm) / 2


def test_decoys_are_no_nodules(clean: Phantom) -> None:
    assert len(clean.decoys_xyz_mm) == 40
    for nodule in clean.nodules:
        apart = np.linalg.norm(clean.decoys_xyz_mm - nodule.centre_xyz_mm, axis=1)
        assert apart.min() > nodule.diameter_mm / 2 + 5


def test_some_scans_are_oblique() -> None:
    """A rotation matrix all the same: orthonormal, determinant 1, less than ten degrees."""
    from lungscan.phantom.scanner import Scanner

    directions = [Scanner.draw(np.random.default_rng(k), None).grid().direction for k in range(80)]
    oblique = [d for d in directions if not np.allclose(d, np.eye(3))]
    assert 10 <= len(oblique) <= 30
    for d in oblique:
        np.testing.assert_allclose(d @ d.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(d) == pytest.approx(1)
        assert np.trace(d) > 1 + 2 * np.cos(np.deg2rad(10))
