"""Connected components and their statistics by size and density: against SciPy on a CPU, on a GPU against its libraries."""

from __future__ import annotations

import numpy as np
import pytest
from lungscan.kernels.component_table import ComponentTable, component_table
from scipy import ndimage

from benchmarks import rivals
from benchmarks.conftest import Compare, OnGpu
from lungscan.benchmark.kernels import LEVEL, Inputs, components, inputs

WINDOW_HU = (-1000, 1000)
DENSITIES = {0.001: "0.1 %", 0.01: "1 %", 0.1: "10 %"}
Plain = tuple[np.ndarray, np.ndarray]


def made(side: int, density: float, xp: object = np) -> Inputs:
    """A cube of noise HU with blobs in this share of its voxels."""
    hu = np.random.default_rng(1).integers(-1000, 400, (side, side, side)).astype(np.int16)
    return inputs(hu, xp, density)


def plain(given: Inputs) -> Plain:
    """Sizes and centres, as *Deep Learning with PyTorch* asks SciPy for them."""
    labels, count = ndimage.label(given.probability > LEVEL, np.ones((3, 3, 3)))
    which = np.arange(1, count + 1)
    weight = np.clip(given.hu, *WINDOW_HU) + 1001
    return np.bincount(labels.ravel())[1:], np.array(ndimage.center_of_mass(weight, labels, which))


@pytest.mark.parametrize("density", DENSITIES, ids=DENSITIES.get)
@pytest.mark.parametrize("side", [64, 128])
def test_components(faster: Compare, side: int, density: float) -> None:
    given = made(side, density)

    def ours() -> ComponentTable:
        return component_table(given.probability, LEVEL, given.hu, WINDOW_HU, 26, outline=0.0)

    def same(table: ComponentTable, expected: Plain) -> None:
        np.testing.assert_array_equal(table.size, expected[0])
        np.testing.assert_allclose(table.weighted_irc / table.weight[:, None], expected[1], atol=1e-6)

    floors = {0.001: 5.0, 0.01: 3.0, 0.1: 1.0}
    faster(ours, lambda: plain(given), same=same, floor=floors[density], rounds=11)


@pytest.mark.gpu
@pytest.mark.parametrize("density", DENSITIES, ids=DENSITIES.get)
@pytest.mark.parametrize("side", [64, 128, 256, 512])
def test_components_on_a_gpu(on_gpu: OnGpu, side: int, density: float) -> None:
    import cupy

    given = made(side, density, cupy)
    work = components(given, WINDOW_HU, rows=1 << 20, voxels=side**3 // 8)
    on_gpu(work, rivals.labels(given))
