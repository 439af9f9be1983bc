"""Two chest CTs of one patient → the affine transform from one to the other, by SimpleITK's registration.

Blocks of about BLOCK_MM, clipped to the range of lung and soft tissue, are aligned by their correlation inside the lungs of
the earlier scan: from the lungs' centroids rigidly, then affinely, coarse to fine. The same scans give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from lungscan.errors import InputRefused
from lungscan.stages.lungs import Lungs
from lungscan.volume import Array, Grid, Point, Triple, Volume, triple

BLOCK_MM = 3.0
RANGE_HU = (-1000, 200)
"""Bone, metal and the contrast agent's brightest blood weigh no more than soft tissue."""

RIGID = ((4, 6.0), (2, 3.0))
AFFINE = ((2, 3.0), (1, 0.0))
"""Levels: blocks merged along each axis, and the standard deviation of the smoothing in mm."""

SAMPLED = 0.3
"""Share of the blocks in the lungs that the metric looks at, regularly spaced."""

LEAST_CORRELATION = 0.8
"""Under it the scans are not aligned. Measured: at least .95 for real scans stretched by up to 40 mm at the lungs' base, at
most .68 for ten pairs of different patients."""

LEAST_OVERLAP = 0.3
"""Least share of the earlier scan's lungs that the newer one must show: on less, the correlation says little."""

_NOWHERE_HU = 2 * RANGE_HU[0]
"""Stands where the newer scan does not reach."""

_SEED = 1
"""Regular samples are jittered within their blocks; with a seed always alike."""

_WORK_UNITS = 4
"""Fixed, since the metric's sums are rounded once a work unit: the same on every machine, whatever its cores."""


@dataclass(frozen=True)
class Alignment:
    """Where points of the earlier scan lie in the newer one.

    matrix      : (3,4) float64, `xyz_now = matrix[:, :3] @ xyz_prior + matrix[:, 3]`, in mm
    correlation : of the HU inside the earlier scan's lungs, after alignment
    dice        : overlap of both scans' lung masks where both reach, after alignment
    shown       : share of the earlier scan's lungs that the newer one reaches
    """

    matrix: Array
    correlation: float
    dice: float
    shown: float

    def __call__(self, xyz: Point) -> Array:
        """Points (...,3) of the earlier scan in the newer one, patient mm."""
        return np.asarray(np.asarray(xyz, dtype=np.float64) @ self.matrix[:, :3].T + self.matrix[:, 3])

    def back(self, xyz: Point) -> Array:
        """Points (...,3) of the newer scan in the earlier one, patient mm."""
        offset = np.asarray(xyz, dtype=np.float64) - self.matrix[:, 3]
        return np.asarray(np.linalg.solve(self.matrix[:, :3], offset[..., None])[..., 0])


def align(prior: Volume, prior_lungs: Lungs, now: Volume, now_lungs: Lungs) -> Alignment:
    """The transform from the earlier to the newer scan; both volumes canonical, as their lungs are.

    Raises InputRefused when the aligned scans do not resemble each other, or hardly share any lung.
    """
    fixed, moving = _blocks(prior), _blocks(now)
    inside = _on(fixed, _mask(prior_lungs))
    start, end = _centroid(prior_lungs), _centroid(now_lungs)

    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(start)
    rigid.SetTranslation(triple(np.subtract(end, start)))
    _optimise(rigid, fixed, moving, inside, RIGID)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    _optimise(affine, fixed, moving, inside, AFFINE)

    alignment = _judged(affine, fixed, moving, inside, _mask(now_lungs))
    both = f"{prior.source.path} and {now.source.path} cannot be compared"
    if alignment.shown < LEAST_OVERLAP:
        raise InputRefused(
            f"{both}: they share {alignment.shown:.0%} of the lungs instead of at least {LEAST_OVERLAP:.0%}; "
            "give two chest CTs of one patient."
        )
    if alignment.correlation < LEAST_CORRELATION:
        raise InputRefused(
            f"{both}: aligned, their lungs correlate by {alignment.correlation:.2f} instead of at least "
            f"{LEAST_CORRELATION:g}; give two chest CTs of one patient."
        )
    return alignment


def _optimise(transform: Any, fixed: Any, moving: Any, inside: Any, levels: Sequence[tuple[int, float]]) -> None:
    """Improve a transform in place."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(_WORK_UNITS)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(inside)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, seed=_SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=100, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([factor for factor, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma_mm for _, sigma_mm in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)


def _judged(affine: Any, fixed: Any, moving: Any, inside: Any, now_mask: Any) -> Alignment:
    """The transform as a matrix, and how well it fits."""
    warped = _array(sitk.Resample(moving, fixed, affine, sitk.sitkLinear, _NOWHERE_HU))
    reached = warped > (_NOWHERE_HU + RANGE_HU[0]) / 2
    lung, lung_now = _array(inside) > 0, reached & (_array(_on(fixed, now_mask, affine)) > 0)
    both = lung & reached
    shared = int(both.sum())
    correlation = np.corrcoef(_array(fixed)[both], warped[both])[0, 1] if shared > 1 else 0.0
    linear = np.reshape(affine.GetMatrix(), (3, 3))
    centre, translation = np.array(affine.GetCenter()), np.array(affine.GetTranslation())
    return Alignment(
        matrix=np.column_stack([linear, translation + centre - linear @ centre]),
        correlation=float(correlation),
        dice=2 * int((both & lung_now).sum()) / max(shared + int(lung_now.sum()), 1),
        shown=shared / max(int(lung.sum()), 1),
    )


def _blocks(volume: Volume) -> Any:
    """Means of blocks of whole voxels as a SimpleITK image of float32."""
    factors = [max(1, round(BLOCK_MM / s)) for s in volume.grid.spacing_irc_mm[::-1]]
    whole = _image(np.clip(volume.hu, *RANGE_HU), volume.grid)
    return sitk.Cast(sitk.BinShrink(whole, factors), sitk.sitkFloat32)


def _mask(lungs: Lungs) -> Any:
    return _image(lungs.mask.astype(np.uint8), lungs.grid)


def _on(fixed: Any, mask: Any, transform: Any = None) -> Any:
    return sitk.Resample(mask, fixed, transform or sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def _image(values: np.ndarray[Any, Any], grid: Grid) -> Any:
    """(I,R,C) values as a SimpleITK image: its axes are C, R, I, its direction's columns theirs, as the grid's are."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing(grid.spacing_irc_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction.ravel())
    return image


def _array(image: Any) -> np.ndarray[Any, Any]:
    return np.asarray(sitk.GetArrayFromImage(image))


def _centroid(lungs: Lungs) -> Triple:
    return triple(lungs.grid.xyz(np.argwhere(lungs.mask).mean(axis=0)))
