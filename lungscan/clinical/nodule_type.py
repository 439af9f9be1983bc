"""Solid, part-solid, ground glass or calcified, from the Hounsfield units inside a nodule.

No cut-off between solid and ground glass is settled in the literature, so the type is an estimate: the cut-offs are settings
that the report prints, and a reader's own word (`[nodules.N] kind` in the patient file) comes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


class Kind(StrEnum):
    solid = "solid"
    part_solid = "part-solid"
    ground_glass = "ground glass"
    calcified = "calcified"


@dataclass(frozen=True)
class TypeCutoffs:
    """Where the types part.

    solid_hu        : least HU of solid tissue. Unconfirmed: one study of 102 nodules found -300 and -250 best, another -400
    calcified_hu    : least HU of calcification (Siegelman et al., Radiology 135:303-312, 1980; an old scanner's figure)
    solid_share     : least share of solid voxels in a solid nodule. Our own choice
    part_share      : least share of solid voxels in a part-solid nodule; less is noise or a thin vessel. Our own choice
    calcified_share : least share of calcified voxels in a calcified nodule; less is noise. Our own choice
    """

    solid_hu: int = -300
    calcified_hu: int = 164
    solid_share: float = 0.75
    part_share: float = 0.05
    calcified_share: float = 0.1


def nodule_type(mask: Mask, hu: npt.NDArray[np.int16], cutoffs: TypeCutoffs = TypeCutoffs()) -> Kind:
    """The estimated type of the nodule in `mask` (I,R,C) with densities `hu` (I,R,C).

    Shares are taken where the mask is peeled by a pixel in its slices, since voxels at the border are half lung; a mask
    without such a core counts whole.
    """
    core = ndimage.binary_erosion(mask, structure=_IN_PLANE)
    inside = hu[core if core.any() else mask]
    if np.mean(inside >= cutoffs.calcified_hu) >= cutoffs.calcified_share:
        return Kind.calcified
    solid = np.mean(inside >= cutoffs.solid_hu)
    if solid >= cutoffs.solid_share:
        return Kind.solid
    return Kind.part_solid if solid >= cutoffs.part_share else Kind.ground_glass


def solid_part(mask: Mask, hu: npt.NDArray[np.int16], cutoffs: TypeCutoffs = TypeCutoffs()) -> Mask:
    """The largest connected piece of solid voxels in the mask; nothing where there are none."""
    pieces, count = ndimage.label(mask & (hu >= cutoffs.solid_hu))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return np.asarray(pieces == 1 + np.argmax(sizes)) if count else np.zeros_like(mask)


_IN_PLANE: Mask = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
