"""The component table on a GPU: the reference's bits, and no wait for the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lungscan.kernels.component_table import ComponentTable, component_table, plain_labels
from scipy import ndimage

from tests.kernels.heatmaps import CONNECTIVITIES, LEVEL, WINDOW_HU, Case, assert_same, case, masks

pytestmark = pytest.mark.gpu

MASKS = masks()


@pytest.fixture
def cupy() -> Any:
    module = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not module.cuda.is_available():
        pytest.skip("no NVIDIA GPU here")
    return module


def table(made: Case, connectivity: int, xp: Any = np, erode: bool = False, **capacity: int) -> ComponentTable:
    p, hu, inside, taken = (xp.asarray(array) for array in (made.probability, made.hu, made.inside, made.taken))
    return component_table(
        p, LEVEL, hu, WINDOW_HU, connectivity, outline=0.7, inside=inside, taken=taken, erode=erode, **capacity
    )


def big() -> Case:
    """Blobs in 1 % of 8 million voxels."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((128, 256, 256), dtype=np.float32), 1.6)
    return case(smooth > np.quantile(smooth, 0.99))


@pytest.mark.parametrize("erode", [False, True], ids=["", "eroded"])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("name", list(MASKS))
def test_the_kernels_equal_the_reference(cupy: Any, name: str, connectivity: int, erode: bool) -> None:
    made = case(MASKS[name])
    assert_same(table(made, connectivity, cupy, erode), table(made, connectivity, erode=erode))


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_a_whole_volume_gives_the_reference_s_bits_every_time(cupy: Any, connectivity: int) -> None:
    made = big()
    expected = table(made, connectivity)
    for _ in range(5):
        assert_same(table(made, connectivity, cupy, max_components=1 << 15), expected)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_the_plain_version_finds_scipy_s_components(cupy: Any, connectivity: int) -> None:
    made = big()
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    expected, count = ndimage.label(made.probability > LEVEL, structure)
    labels = cupy.asnumpy(plain_labels(cupy.asarray(made.probability), LEVEL, connectivity))
    roots, ours = np.unique(labels, return_inverse=True)
    assert len(roots) == count + 1
    np.testing.assert_array_equal(ours.reshape(labels.shape), expected)


def test_nothing_waits_for_the_host(cupy: Any) -> None:
    """A stream that is being captured into a graph refuses every synchronisation; the graph then serves new inputs."""
    made, other = case(MASKS["(17, 33, 65) 5%"]), case(MASKS["(17, 33, 65) 30%"], seed=5)
    held = Case(*(cupy.asarray(array) for array in (made.probability, made.hu, made.inside, made.taken)))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        table(held, 26, cupy)  # compiles, and fills the memory pool
        stream.synchronize()
        stream.begin_capture()
        found = table(held, 26, cupy)
        graph = stream.end_capture()
        for part in (made, other):
            for name in ("probability", "hu", "inside", "taken"):
                getattr(held, name).set(getattr(part, name))
            graph.launch(stream)
            stream.synchronize()
            assert_same(found, table(part, 26))
