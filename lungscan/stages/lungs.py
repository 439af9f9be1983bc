"""Volume → where the lungs are: a generous mask of both hemithoraces on a coarse grid, as a gate on compute and candidates.

The mask is made to lose nothing rather than to measure: nodules at the wall, masses and vessels at the hilum belong to it.

    block average → air inside the body → components that are lung → each lung closed, so that masses count → dilated
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.errors import InputRefused
from lungscan.stages.morphology import Mask, close, dilate, peeled
from lungscan.volume import AIR_HU, Array, Box, Grid, Volume

Coarse = npt.NDArray[np.float32]

COARSE_MM = 3.75
"""About the edge of the coarse voxels: walls of the lungs are still resolved, and sharp kernels' noise is averaged out."""

AIR_BELOW_HU = -400.0
"""Halfway between lung (-850) and soft tissue (50): the usual threshold of aerated lung."""

GAS_BELOW_HU = -955.0
"""Air around the patient, in bowel and trachea lies near -1000; lung holds tissue and blood, even in emphysema."""

PADDING_NOISE_HU = 4.0
"""A block so close to the lowest value lies outside the scanner's circular field of view; noise keeps most air above."""

PIECE_ML = 20.0
"""A smaller pocket is not taken for a part of a lung of its own; closing brings back what lies beside one."""

CORE_SHARE = 0.1
"""Least share of a piece that remains when it is peeled by a voxel: cracks between arm and body are all surface."""

TISSUE_ABOVE_HU = -200.0
"""Soft tissue and fat."""

WALL_MM = 10.0
"""Least tissue of a chest wall, front or back; a table's shell is thinner."""

AMID_SHARE = 0.4
"""Least share of a piece that has such walls. Five real scans: whole lungs over .9, the air around the patient under .4,
even where the patient overfills the scanner and that air reads -750; lungs that the field of view cuts lie between."""

LUNGS_ML = 400.0
"""Less aerated lung than this, both sides together, is no chest CT: bases in an abdominal scan, or another organ."""

CLOSING_MM = 40.0
"""Radius of the ball that closes each lung: what hides from it (a mass of 80 mm against a wall, the hilum) is filled."""

MARGIN_MM = 8.0
"""How far the mask reaches beyond the closed lungs: the pleura, what grows into it, and half a coarse voxel's error."""


@dataclass(frozen=True)
class Lungs:
    """Both lungs with everything in them and at their walls.

    mask      : (I,R,C) bool on `grid`, closed and dilated
    grid      : the coarse grid; it reaches past the volume by up to a voxel, so that it covers every slice
    volume_ml : aerated lung before closing
    """

    mask: Mask
    grid: Grid
    volume_ml: float

    def box(self, target: Grid) -> Box:
        """The smallest box of voxels of `target` that covers the mask."""
        return target.cover(_bounds(self.mask), self.grid)

    def slab_box(self, target: Grid, i0: int, i1: int) -> Box | None:
        """The same for the part of the mask within the slices i0 to i1 (half-open) of `target`; None without lung there."""
        slab: Box = ((i0, i1), (0, target.shape[1]), (0, target.shape[2]))
        (low, high), rows, columns = self.grid.cover(slab, target)
        part = self.mask[low:high]
        if not part.any():
            return None
        (a, b), rows, columns = _bounds(part)
        (j0, j1), rows, columns = target.cover(((low + a, low + b), rows, columns), self.grid)
        return (max(i0, j0), min(i1, j1)), rows, columns

    def on(self, target: Grid) -> Mask:
        """The mask on a grid whose axes are parallel to its own, (I,R,C) by the nearest voxel."""
        index, inside = [], []
        for axis, n in enumerate(target.shape):
            along = np.zeros((n, 3))
            along[:, axis] = np.arange(n)
            at = np.rint(self.grid.irc(target.xyz(along))[:, axis]).astype(np.intp)
            inside.append((at >= 0) & (at < self.mask.shape[axis]))
            index.append(np.clip(at, 0, self.mask.shape[axis] - 1))
        return np.asarray(self.mask[np.ix_(*index)] & inside[0][:, None, None] & inside[1][:, None] & inside[2])

    def contains(self, xyz: Array) -> Mask:
        """Which of the points (N,3), in patient mm, lie inside: (N,)."""
        index = np.rint(self.grid.irc(xyz)).astype(np.intp)
        on_grid = ((index >= 0) & (index < self.mask.shape)).all(axis=-1)
        inside = np.zeros(len(index), dtype=bool)
        inside[on_grid] = self.mask[tuple(index[on_grid].T)]
        return inside


def find_lungs(volume: Volume) -> Lungs:
    """The lungs of a canonical volume (slices rise to the head, rows to the back, columns to the patient's left).

    One lung is enough (after a pneumonectomy, or with the other one hidden by an effusion), and lungs may be cut by the
    field of view or the first and last slice. Raises InputRefused when less than LUNGS_ML of aerated lung is found.
    """
    hu, grid = _block_means(volume)
    pieces = _aerated(hu, grid)
    volume_ml = float(pieces.sum() * grid.voxel_mm3 / 1000)
    if volume_ml < LUNGS_ML:
        raise InputRefused(
            f"{volume.source.path}: this is no chest CT, as no lungs were found in it ({volume_ml:.0f} ml of aerated lung "
            f"instead of at least {LUNGS_ML:.0f}); give a CT of the chest, or switch the lung gate off to search everywhere"
        )
    mask, grid = _hemithoraces(pieces, grid)
    return Lungs(mask, grid, volume_ml)


def _block_means(volume: Volume) -> tuple[Coarse, Grid]:
    """Mean HU of blocks of whole voxels, about COARSE_MM wide; less than a block at the far ends is left out."""
    fine = volume.grid
    f_i, f_r, f_c = factors = [
        min(max(1, round(COARSE_MM / s)), n) for s, n in zip(fine.spacing_irc_mm, fine.shape, strict=True)
    ]
    i, r, c = shape = tuple(n // f for n, f in zip(fine.shape, factors, strict=True))
    out = np.empty(shape, dtype=np.float32)
    for k in range(i):
        block = volume.hu[k * f_i : (k + 1) * f_i, : r * f_r, : c * f_c]
        lines = block.reshape(f_i, r, f_r, c * f_c).sum(axis=(0, 2), dtype=np.int32)
        out[k] = lines.reshape(r, c, f_c).sum(axis=2)
    out /= f_i * f_r * f_c
    a, b, d = (s * f for s, f in zip(fine.spacing_irc_mm, factors, strict=True))
    x, y, z = fine.xyz([(f - 1) / 2 for f in factors])
    return out, Grid((i, r, c), (a, b, d), (float(x), float(y), float(z)), fine.direction)


def _aerated(hu: Coarse, grid: Grid) -> Mask:
    """Air inside the body that is lung by size, density and place; not the air around the patient, in trachea and bowel.

    Lungs may lie open to what is outside the field of view: that is taken out first, with the blocks that it shares.
    """
    padding = hu <= min(max(float(hu.min()), AIR_HU) + PADDING_NOISE_HU, GAS_BELOW_HU)
    air = (hu < AIR_BELOW_HU) & ~ndimage.binary_dilation(padding, structure=_PLANE)
    amid = _amid_tissue(hu, grid)

    slice_by_slice = _Pieces.measure(hu, air, amid, _PLANE)
    air &= slice_by_slice.like_lung[slice_by_slice.labels]

    pieces = _Pieces.measure(hu, air, amid, _SPACE)
    lung = pieces.like_lung & (pieces.sizes * grid.voxel_mm3 / 1000 >= PIECE_ML)
    lung &= pieces.core_sizes >= CORE_SHARE * pieces.sizes
    return np.asarray(lung[pieces.labels])


def _amid_tissue(hu: Coarse, grid: Grid) -> Mask:
    """Voxels with a wall of tissue in front, behind and at one side at least (the field of view may cut off the other).

    Air around the patient has none in front or behind; what lies in a table has its thin shell alone behind it.
    """
    tissue = hu > TISSUE_ABOVE_HU

    def walls(axis: int) -> tuple[Mask, Mask]:
        before = np.cumsum(tissue, axis=axis, dtype=np.int16)
        behind = np.take(before, [-1], axis=axis) - before
        needed = WALL_MM / grid.spacing_irc_mm[axis]
        return before >= needed, behind >= needed

    front, back = walls(1)
    right, left = walls(2)
    return front & back & (right | left)


@dataclass(frozen=True)
class _Pieces:
    """Connected pieces of air, and for each label: voxels, voxels of its core, and whether it is like lung.

    The core is what remains when the outermost voxels, which are half wall, are peeled off: its mean HU tells bowel gas from
    lung. A piece without a core counts whole.
    """

    labels: npt.NDArray[np.int32]
    sizes: Array
    core_sizes: Array
    like_lung: Mask

    @classmethod
    def measure(cls, hu: Coarse, air: Mask, amid: Mask, neighbours: Mask) -> _Pieces:
        labels, count = ndimage.label(air, structure=neighbours)
        at = np.flatnonzero(air)
        label, value, core = labels.ravel()[at], hu.ravel()[at], peeled(air, neighbours).ravel()[at]

        def total(values: npt.NDArray[np.generic]) -> Array:
            return np.bincount(label, values, minlength=count + 1).astype(np.float64, copy=False)

        sizes, core_sizes = total(np.ones_like(value)), total(core)
        hu_sum = np.where(core_sizes > 0, total(value * core), total(value))
        mean = hu_sum / np.maximum(np.where(core_sizes > 0, core_sizes, sizes), 1)
        like_lung = (mean >= GAS_BELOW_HU) & (total(amid.ravel()[at]) >= AMID_SHARE * sizes)
        return cls(labels, sizes, core_sizes, like_lung)


def _hemithoraces(pieces: Mask, grid: Grid) -> tuple[Mask, Grid]:
    """Each side closed by itself, so that masses at its wall count and the mediastinum stays out; then the margin.

    The mask goes on past every face of the volume as it is there, so that it does not open at the ends.
    """
    reach = [int(np.ceil(CLOSING_MM / s)) for s in grid.spacing_irc_mm]
    padded = np.pad(pieces, [(n, n) for n in reach], mode="edge")
    middle = _middle(padded)
    closed = np.zeros_like(padded)
    for side in (np.s_[:, :, :middle], np.s_[:, :, middle:]):
        lung = np.zeros_like(padded)
        lung[side] = padded[side]
        if lung.any():
            box = tuple(slice(low, high) for low, high in _bounds(lung))
            closed[box] |= close(lung[box], CLOSING_MM, grid.spacing_irc_mm)
    margin = [int(np.ceil(MARGIN_MM / s)) for s in grid.spacing_irc_mm]
    inner = tuple(slice(n - m, size - n + m) for n, m, size in zip(reach, margin, padded.shape, strict=True))
    mask = dilate(closed[inner], MARGIN_MM, grid.spacing_irc_mm)
    i, r, c = ((-m, size + m) for m, size in zip(margin, grid.shape, strict=True))
    return mask, grid.part((i, r, c))


def _middle(pieces: Mask) -> int:
    """The column between the lungs: where least lung is, in the middle third of what they span; 0 with one lung alone."""
    profile = pieces.sum(axis=(0, 1))
    low, high = np.flatnonzero(profile)[[0, -1]]
    third = (high - low) // 3
    valley = low + third + np.argmin(profile[low + third : high - third + 1])
    return int(valley) if profile[valley] < profile.max() / 2 else 0


def _bounds(mask: Mask) -> Box:
    i, r, c = ((int(at[0]), int(at[-1]) + 1) for at in (np.flatnonzero(mask.any(axis=axes)) for axes in _OTHERS))
    return i, r, c


_OTHERS = ((1, 2), (0, 2), (0, 1))
_SPACE: Mask = ndimage.generate_binary_structure(3, 1)
_PLANE: Mask = _SPACE & np.array([False, True, False])[:, None, None]
