"""The ellipse that stands for a nodule on one image: as long, as wide and as turned as its outline there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.stages.outline import NoduleMask
from lungscan.volume import Array

PIXEL_CENTRE = 0.5
"""DICOM's image coordinates are 0 at the corner of the first pixel (PS3.3, C.10.5.1.2)."""


def largest_slice(mask: NoduleMask) -> int:
    """The slice on which the outline has the most pixels, the first of equals."""
    return mask.box_irc[0][0] + int(mask.mask.sum(axis=(1, 2)).argmax())


def ellipse(mask: NoduleMask) -> Array:
    """The ends of the long axis, then of the short one, (4,2) as column and row, on the largest slice.

    It has the outline's centroid and second moments: a filled ellipse with half axes a and b has variances a^2/4 and b^2/4
    along them, and each pixel adds 1/12 of its own.
    """
    (first, _), (row, _), (column, _) = mask.box_irc
    pixels: npt.NDArray[np.intp] = np.argwhere(mask.mask[largest_slice(mask) - first])[:, ::-1]
    centre = pixels.mean(axis=0) + np.array([column, row]) + PIXEL_CENTRE
    away = pixels - pixels.mean(axis=0)
    variances, axes = np.linalg.eigh(away.T @ away / len(away) + np.eye(2) / 12)  # ascending; axes in columns
    short, long = (2 * np.sqrt(variance) * axis for variance, axis in zip(variances, axes.T, strict=True))
    return np.stack([centre - long, centre + long, centre - short, centre + short])
