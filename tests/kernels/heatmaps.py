"""Heatmaps that are hard on connected components, and how two tables of them are compared."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from lungscan.kernels.component_table import ComponentTable

LEVEL = 0.5
WINDOW_HU = (-1000, 400)
CONNECTIVITIES = (6, 18, 26)


@dataclass(frozen=True)
class Case:
    """What a table is made from, on masks of every awkward kind."""

    probability: np.ndarray
    hu: np.ndarray
    inside: np.ndarray
    taken: np.ndarray


def snake(shape: tuple[int, int, int]) -> np.ndarray:
    """A path one voxel wide through every second row of every second slice: one component, however voxels connect."""
    mask = np.zeros(shape, bool)
    for i in range(0, shape[0], 2):
        mask[i, ::2, :] = True
        mask[i, 1::4, -1] = True
        mask[i, 3::4, 0] = True
    last = -1 if (shape[1] + 1) // 2 % 2 else 0  # the column where a slice's path ends
    mask[1::4, (shape[1] - 1) // 2 * 2, last] = True
    mask[3::4, 0, 0] = True
    return mask


def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    out = {
        "empty": np.zeros((5, 9, 40), bool),
        "full": np.ones((5, 9, 40), bool),
        "one voxel": np.zeros((5, 9, 40), bool),
        "snake": snake((9, 13, 70)),
        "one row a slice": rng.random((8, 1, 33)) < 0.5,
        "one column": rng.random((9, 40, 1)) < 0.5,
    }
    out["one voxel"][4, 5, 31] = True
    for shape in ((1, 1, 1), (3, 5, 7), (17, 33, 65)):
        for density in (0.05, 0.3, 0.6):
            out[f"{shape} {density:.0%}"] = rng.random(shape) < density
    return out


def case(mask: np.ndarray, seed: int = 2) -> Case:
    """Probabilities over LEVEL on the mask and up to it elsewhere; HU beyond any window; components in and out of both."""
    rng = np.random.default_rng(seed)
    p = rng.random(mask.shape, dtype=np.float32) / 2
    p = np.where(mask, np.float32(1) - p, p).astype(np.float32)
    p[~mask & (p > 0.4)] = LEVEL
    hu = rng.integers(-3000, 3000, mask.shape).astype(np.int16)
    return Case(p, hu, rng.random(mask.shape) < 0.2, (rng.random(mask.shape) < 0.05).astype(np.uint8))


def assert_same(found: ComponentTable, expected: ComponentTable) -> None:
    """Every column bit for bit, as far as the expected table has rows."""
    for field in fields(ComponentTable):
        ours, theirs = getattr(found, field.name), np.asarray(getattr(expected, field.name))
        ours = on_host(ours[: len(theirs)] if theirs.ndim else ours)
        np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        assert ours.dtype == theirs.dtype or not theirs.ndim, field.name


def on_host(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array)
