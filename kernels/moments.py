"""Size, place and density of every component in one pass over the foreground.

All sums are of integers, held exactly (below 2**53) in whatever order they are taken, so the result is the same on every
machine and for every cut of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.volume import Shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """One row a component. low and high are the corners of its box, high excluded."""

    voxels: Ints  # (n,)
    weight: Ints  # (n,)
    weighted_irc: Ints  # (n, 3): sums of weight times index
    low: Ints  # (n, 3)
    high: Ints  # (n, 3)
    hu_sum: Ints  # (n,)
    hu_max: Ints  # (n,)
    peak: npt.NDArray[np.float32]  # (n,)

    @property
    def centre(self) -> Floats:
        """(n, 3) in I, R, C, weighted by density."""
        return self.weighted_irc / self.weight[:, None]

    @property
    def hu_mean(self) -> Floats:
        """(n,)"""
        return self.hu_sum / self.voxels


def moments(
    voxels: Ints,
    component: npt.NDArray[np.int32],
    count: int,
    shape: Shape,
    hu: npt.NDArray[np.int16],
    probability: npt.NDArray[np.float32],
    window_hu: tuple[int, int],
) -> Moments:
    """Moments of `count` components.

    voxels      : (n,) flat indices into an array of `shape`
    component   : (n,) component of each voxel
    hu          : (n,) density of each voxel; clipped to `window_hu`, it weighs the centre as HU - low + 1, so that air
                  weighs 1 and nothing weighs 0 (the book's HU + 1001 for its window)
    probability : (n,) heatmap at each voxel
    """

    def total(weight: npt.NDArray[np.integer]) -> Ints:
        return np.bincount(component, weights=weight, minlength=count).astype(np.int64)

    index = np.unravel_index(voxels, shape)
    weight = np.clip(hu, *window_hu).astype(np.int64) - window_hu[0] + 1
    number = np.bincount(component, minlength=count)
    order = np.argsort(component, kind="stable")
    first = np.cumsum(number) - number
    return Moments(
        voxels=number,
        weight=total(weight),
        weighted_irc=np.stack([total(weight * axis) for axis in index], axis=1),
        low=np.stack([np.minimum.reduceat(axis[order], first) for axis in index], axis=1),
        high=np.stack([np.maximum.reduceat(axis[order], first) for axis in index], axis=1) + 1,
        hu_sum=total(hu),
        hu_max=np.maximum.reduceat(hu[order], first).astype(np.int64),
        peak=np.maximum.reduceat(probability[order], first),
    )
