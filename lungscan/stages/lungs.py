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
from lungscan.volume import AIR_HU, Array, Box, Grid, Triple, Volume

Mask = npt.NDArray[np.bool_]
Coarse = npt.NDArray[np.float32]

COARSE_MM = 3.75
"""About the edge of the coarse voxels: lungs and their walls are still resolved, and noise of sharp kernels is averaged out."""

AIR_BELOW_HU = -400.0
"""Halfway between lung (-850) and soft tissue (50): the usual threshold of aerated lung."""

GAS_BELOW_HU = -955.0
"""Air around the patient, in the bowel and in the trachea lies near -1000; lung holds tissue and blood, even in emphysema."""

PADDING_NOISE_HU = 4.0
"""A block so close to the lowest value lies outside the scanner's circular field of view; noise keeps most air above."""

PIECE_ML = 15.0
"""A smaller pocket is not taken for a part of a lung of its own; closing brings back what lies beside one."""

CORE_SHARE = 0.1
"""Least share of a piece that remains when it is peeled by a voxel: cracks between arm and body are all surface."""

TISSUE_ABOVE_HU = -200.0
"""Soft tissue and fat."""

LUNGS_ML = 400.0
"""Less aerated lung than this, both sides together, is no chest CT: bases in an abdominal scan, or another organ."""

CLOSING_MM = 30.0
"""Radius of the ball that closes each lung: what hides from it (a mass of 60 mm against a wall, the hilum) is filled."""

MARGIN_MM = 5.0
"""How far the mask reaches beyond the closed lungs: the pleura, and half a coarse voxel's error."""


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
    """Mean HU of blocks of whole voxels, about COARSE_MM wide; what is left at the far ends (less than a block) is left out."""
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
    """Air inside the body that is lung by its size, density and place; without the air around the patient, in trachea and bowel.

    Lungs may lie open to what is outside the field of view: that is taken out first, with the blocks that it shares.
    """
    padding = hu <= max(float(hu.min()), AIR_HU) + PADDING_NOISE_HU
    air = (hu < AIR_BELOW_HU) & ~ndimage.binary_dilation(padding, structure=_PLANE)

    labels, count = ndimage.label(air, structure=_PLANE)
    gas = _Pieces.measure(hu, labels, count, _PLANE)
    air &= (gas.core_hu >= GAS_BELOW_HU)[labels]

    labels, count = ndimage.label(air)
    pieces = _Pieces.measure(hu, labels, count, _SPACE)
    lung = (pieces.sizes * grid.voxel_mm3 / 1000 >= PIECE_ML) & (pieces.core_hu >= GAS_BELOW_HU)
    lung &= pieces.core_sizes >= CORE_SHARE * pieces.sizes
    lung[0] = False
    for piece in np.flatnonzero(lung):
        lung[piece] = _amid_tissue(hu, labels == piece)
    return np.asarray(lung[labels])


@dataclass(frozen=True)
class _Pieces:
    """Sizes in voxels and the mean HU of each label's core: what is left when its outermost voxels are peeled off.

    The peel takes away blocks that are half wall, so that bowel gas is told from lung; a piece without core counts whole.
    """

    sizes: Array
    core_sizes: Array
    core_hu: Array

    @classmethod
    def measure(cls, hu: Coarse, labels: npt.NDArray[np.int32], count: int, neighbours: Mask) -> _Pieces:
        core = ndimage.binary_erosion(labels > 0, structure=neighbours, border_value=1)

        def sums(where: Mask) -> tuple[Array, Array]:
            n = np.bincount(labels[where], minlength=count + 1).astype(np.float64)
            return n, np.bincount(labels[where], hu[where], minlength=count + 1)

        sizes, totals = sums(labels > 0)
        core_sizes, core_totals = sums(core)
        has_core = core_sizes > 0
        core_hu = np.where(has_core, core_totals, totals) / np.maximum(np.where(has_core, core_sizes, sizes), 1)
        return cls(sizes, core_sizes, core_hu)


def _amid_tissue(hu: Coarse, piece: Mask) -> bool:
    """Whether the centre of a piece lies between the patient's front, back and sides; a table's foam does not."""
    tissue = hu > TISSUE_ABOVE_HU
    for axis in (1, 2):
        others = tuple(k for k in range(3) if k != axis)
        below = np.cumsum(tissue.sum(axis=others)) / max(tissue.sum(), 1)
        profile = piece.sum(axis=others)
        centre = int(profile @ np.arange(len(profile)) / profile.sum())
        if not 0.03 < below[centre] < 0.97:
            return False
    return True


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
            closed[box] |= _close(lung[box], grid.spacing_irc_mm)
    margin = [int(np.ceil(MARGIN_MM / s)) for s in grid.spacing_irc_mm]
    inner = tuple(slice(n - m, size - n + m) for n, m, size in zip(reach, margin, padded.shape, strict=True))
    mask = _dilate(closed[inner], MARGIN_MM, grid.spacing_irc_mm)
    outer = grid.part(tuple((-m, size + m) for m, size in zip(margin, grid.shape, strict=True)))
    return mask, outer


def _middle(pieces: Mask) -> int:
    """The column between the lungs: where least lung is, in the middle third of what they span."""
    profile = pieces.sum(axis=(0, 1))
    low, high = np.flatnonzero(profile)[[0, -1]]
    third = (high - low) // 3
    return int(low + third + np.argmin(profile[low + third : high - third + 1]))


def _close(mask: Mask, spacing_irc_mm: Triple) -> Mask:
    """Morphological closing by a ball of CLOSING_MM."""
    room = [int(np.ceil(CLOSING_MM / s)) for s in spacing_irc_mm]
    grown = _dilate(np.pad(mask, [(n, n) for n in room]), CLOSING_MM, spacing_irc_mm)
    shrunk = ~_dilate(~grown, CLOSING_MM, spacing_irc_mm)
    return shrunk[tuple(slice(n, n + size) for n, size in zip(room, mask.shape, strict=True))]


def _dilate(mask: Mask, radius_mm: float, spacing_irc_mm: Triple) -> Mask:
    """Dilation by a ball, nothing lying outside: runs along columns, ORed for each line of the ball. Faster than a transform."""
    s_i, s_r, s_c = spacing_irc_mm
    n_i, n_r = int(radius_mm / s_i), int(radius_mm / s_r)
    runs = [mask]
    for k in range(1, int(radius_mm / s_c) + 1):
        run = runs[-1].copy()
        run[:, :, k:] |= mask[:, :, :-k]
        run[:, :, :-k] |= mask[:, :, k:]
        runs.append(run)
    out = np.zeros_like(mask)
    for i in range(-n_i, n_i + 1):
        for r in range(-n_r, n_r + 1):
            left = radius_mm**2 - (i * s_i) ** 2 - (r * s_r) ** 2
            if left >= 0:
                to, at = _shifted(i, mask.shape[0]), _shifted(r, mask.shape[1])
                out[to[0], at[0]] |= runs[int(left**0.5 / s_c)][to[1], at[1]]
    return out


def _shifted(by: int, size: int) -> tuple[slice, slice]:
    """Where a shifted axis lands, and what of it lands there."""
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


def _bounds(mask: Mask) -> Box:
    i, r, c = ((int(at[0]), int(at[-1]) + 1) for at in (np.flatnonzero(mask.any(axis=axes)) for axes in _OTHERS))
    return i, r, c


_OTHERS = ((1, 2), (0, 2), (0, 1))
_SPACE: Mask = ndimage.generate_binary_structure(3, 1)
_PLANE: Mask = _SPACE & np.array([False, True, False])[:, None, None]
