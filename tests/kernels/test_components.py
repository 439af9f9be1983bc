"""Components, erosion and moments against SciPy on ugly masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from lungscan.kernels.components import components
from lungscan.kernels.erosion import erode
from lungscan.kernels.moments import moments
from scipy import ndimage

STRUCTURES = {6: 1, 18: 2, 26: 3}


def snake(shape: tuple[int, int, int]) -> np.ndarray:
    """One component that winds through every second row of every second slice."""
    mask = np.zeros(shape, bool)
    mask[::2, ::2, :] = True
    mask[::2, 1::4, -1] = True
    mask[::2, 3::4, 0] = True
    mask[1::4, 0, 0] = True
    mask[3::4, -1, -1] = True
    return mask


def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shape = (9, 13, 17)
    one = np.zeros(shape, bool)
    one[4, 5, 6] = True
    return {
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
        "one voxel": one,
        "snake": snake(shape),
        "sparse": rng.random(shape) < 0.05,
        "percolating": rng.random(shape) < 0.32,
        "dense": rng.random(shape) < 0.8,
        "one column": rng.random((1, 1, 9)) < 0.5,
        "one row a slice": rng.random((8, 1, 5)) < 0.5,
    }


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", list(masks()))
def test_components_equal_scipy(name: str, connectivity: int) -> None:
    mask = masks()[name]
    voxels = np.flatnonzero(mask)
    found, count = components(voxels, mask.shape, connectivity)
    structure = ndimage.generate_binary_structure(3, STRUCTURES[connectivity])
    labels, expected = ndimage.label(mask, structure)
    assert count == expected
    np.testing.assert_array_equal(found + 1, labels.ravel()[voxels])


@settings(max_examples=60, deadline=None)
@given(
    mask=npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, max_side=6)),
    connectivity=st.sampled_from([6, 18, 26]),
)
def test_components_equal_scipy_on_any_mask(mask: np.ndarray, connectivity: int) -> None:
    voxels = np.flatnonzero(mask)
    found, count = components(voxels, mask.shape, connectivity)
    labels, expected = ndimage.label(mask, ndimage.generate_binary_structure(3, STRUCTURES[connectivity]))
    assert count == expected
    np.testing.assert_array_equal(found + 1, labels.ravel()[voxels])


@pytest.mark.parametrize("name", list(masks()))
def test_erosion_equals_scipy(name: str) -> None:
    mask = masks()[name]
    expected = np.flatnonzero(ndimage.binary_erosion(mask))
    np.testing.assert_array_equal(erode(np.flatnonzero(mask), mask.shape), expected)


@pytest.mark.parametrize("name", ["sparse", "percolating", "dense", "snake"])
def test_moments_equal_scipy(name: str) -> None:
    mask = masks()[name]
    rng = np.random.default_rng(2)
    hu = rng.integers(-3000, 3000, mask.shape).astype(np.int16)
    p = rng.random(mask.shape, dtype=np.float32)
    voxels = np.flatnonzero(mask)
    labels, count = ndimage.label(mask)
    at = np.arange(1, count + 1)
    m = moments(voxels, labels.ravel()[voxels] - 1, count, mask.shape, hu.ravel()[voxels], p.ravel()[voxels], (-1000, 1000))
    weight = np.clip(hu, -1000, 1000).astype(np.int64) + 1001
    np.testing.assert_allclose(m.centre, np.array(ndimage.center_of_mass(weight, labels, at)), rtol=1e-12)
    np.testing.assert_array_equal(m.voxels, ndimage.sum_labels(mask, labels, at))
    np.testing.assert_allclose(m.hu_mean, ndimage.mean(hu.astype(np.int64), labels, at))
    np.testing.assert_array_equal(m.hu_max, ndimage.maximum(hu, labels, at))
    np.testing.assert_array_equal(m.peak, ndimage.maximum(p, labels, at))
    boxes = ndimage.find_objects(labels)
    np.testing.assert_array_equal(m.low, [[s.start for s in box] for box in boxes])
    np.testing.assert_array_equal(m.high, [[s.stop for s in box] for box in boxes])
