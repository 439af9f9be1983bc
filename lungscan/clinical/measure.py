"""A nodule's mask and densities → the sizes that guidelines ask for.

The long axis is the largest diameter in the slice that shows most of the nodule, the short axis the largest one at right
angles to it in the same slice, and the mean diameter their mean (Bankier et al., Fleischner Society recommendations for
measuring pulmonary nodules, Radiology 285:584-600, 2017; ACR Lung-RADS v2022). It is not the diameter of the sphere of the
same volume, which stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from lungscan.clinical.nodule_type import Kind, Mask, TypeCutoffs, nodule_type, solid_part
from lungscan.volume import Array, Grid, Triple

Ends = tuple[Triple, Triple]
"""Both ends of an axis, (I,R,C) in fractions of a voxel."""

SMOOTHING = 0.7
"""Standard deviation in pixels. Measured on ellipses of 4 to 20 mm in pixels of 0.7 mm: the mean diameter is off by at most
0.1 mm on average, 0.3 mm without smoothing."""

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Axes:
    """Long and short axis in one slice."""

    slice: int
    long_mm: float
    short_mm: float
    long_ends_irc: Ends
    short_ends_irc: Ends

    @property
    def mean_mm(self) -> float:
        return (self.long_mm + self.short_mm) / 2


@dataclass(frozen=True)
class NoduleMeasures:
    """What is measured of one nodule; lengths are not rounded, each guideline rounds as it says.

    diameter_mm    : of the sphere of this volume
    kind           : estimated from `cutoffs`
    solid          : axes of the largest solid piece, whatever the kind; None where nothing is solid
    hu_percentiles : HU at PERCENTILES of the voxels inside
    spacing_irc_mm : between voxels, of the slices first
    """

    axes: Axes
    volume_mm3: float
    diameter_mm: float
    kind: Kind
    solid: Axes | None
    hu_mean: float
    hu_percentiles: tuple[float, ...]
    cutoffs: TypeCutoffs
    spacing_irc_mm: Triple

    @property
    def mean_mm(self) -> float:
        return self.axes.mean_mm


@dataclass(frozen=True)
class MeasuredNodule:
    """A nodule by its number in the report; the indices of its axes are those of `grid`."""

    id: int
    measures: NoduleMeasures
    grid: Grid


def measure(
    mask: Mask,
    hu: npt.NDArray[np.int16],
    spacing_irc_mm: Triple,
    cutoffs: TypeCutoffs = TypeCutoffs(),  # noqa: B008 (frozen)
) -> NoduleMeasures:
    """Sizes, densities and type of the nodule in `mask` (I,R,C) with densities `hu` (I,R,C), slices first.

    Raises ValueError for an empty mask.
    """
    if not mask.any():
        raise ValueError("the mask holds no voxel")
    inside = hu[mask].astype(np.float64)
    volume = float(mask.sum() * np.prod(spacing_irc_mm))
    solid = solid_part(mask, hu, cutoffs)
    return NoduleMeasures(
        axes=axes(mask, spacing_irc_mm),
        volume_mm3=volume,
        diameter_mm=(6 * volume / math.pi) ** (1 / 3),
        kind=nodule_type(mask, hu, cutoffs),
        solid=axes(solid, spacing_irc_mm) if solid.any() else None,
        hu_mean=float(inside.mean()),
        hu_percentiles=tuple(float(p) for p in np.percentile(inside, PERCENTILES)),
        cutoffs=cutoffs,
        spacing_irc_mm=spacing_irc_mm,
    )


def axes(mask: Mask, spacing_irc_mm: Triple) -> Axes:
    """Long and short axis of the largest connected piece in the slice that holds most voxels; of equals the first.

    The outline runs halfway between voxels inside and outside; the short axis is the longest chord of its convex hull at
    right angles to the long one.
    """
    index = int(mask.sum(axis=(1, 2)).argmax())
    outline = _outline(_largest_piece(mask[index]))
    mm = outline * spacing_irc_mm[1:]
    mm = mm[ConvexHull(mm).vertices]  # counter-clockwise
    apart = squareform(pdist(mm))
    first, second = sorted(divmod(int(apart.argmax()), len(mm)))
    long_mm = float(apart[first, second])
    along = (mm[second] - mm[first]) / long_mm
    near, far = _widest_chord(mm, first, second, along)

    def ends(a: Array, b: Array) -> Ends:
        (r0, c0), (r1, c1) = np.stack([a, b]) / spacing_irc_mm[1:]
        return (float(index), float(r0), float(c0)), (float(index), float(r1), float(c1))

    short_mm = float(np.linalg.norm(far - near))
    return Axes(index, long_mm, short_mm, ends(mm[first], mm[second]), ends(near, far))


def _largest_piece(plane: Mask) -> Mask:
    pieces, _ = ndimage.label(plane)
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _outline(plane: Mask) -> Array:
    """Points (N,2) in pixels (R,C) where the line between two neighbouring pixels crosses the border.

    The border is the level of a half in the mask smoothed by SMOOTHING: steps between pixels, whose corners would stretch
    every axis, become slopes. What is too small to keep that level is not smoothed.
    """
    padded = np.pad(plane.astype(np.float64), 3)
    level = ndimage.gaussian_filter(padded, SMOOTHING)
    if level.max() < 0.5:
        level = padded
    points = []
    for axis in (0, 1):
        for step in (-1, 1):
            beyond = np.roll(level, -step, axis)
            at = np.argwhere((level >= 0.5) & (beyond < 0.5))
            here, there = level[tuple(at.T)], beyond[tuple(at.T)]
            share = (here - 0.5) / (here - there)
            points.append(at - 3 + step * share[:, None] * np.eye(2)[axis])
    return np.concatenate(points)


def _widest_chord(hull: Array, first: int, second: int, along: Array) -> tuple[Array, Array]:
    """Ends of the longest chord of a convex polygon (N,2) at right angles to its axis from vertex `first` to `second`.

    Between vertices the chord's length is linear along the axis, so the longest one starts at a vertex.
    """
    chains = hull[first : second + 1], np.concatenate([hull[second:], hull[: first + 1]])[::-1]
    at = (hull - hull[first]) @ along
    sides = [_across(chain, (chain - hull[first]) @ along, at) for chain in chains]
    widest = int(np.linalg.norm(sides[1] - sides[0], axis=1).argmax())
    return sides[0][widest], sides[1][widest]


def _across(chain: Array, position: Array, at: Array) -> Array:
    """Points of a polygonal chain at these positions along the axis; the chain runs from the axis's one end to its other."""
    return np.stack([np.interp(at, position, chain[:, k]) for k in (0, 1)], axis=1)
