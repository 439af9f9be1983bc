"""Measures of nodules as if a scan had shown them."""

from __future__ import annotations

import math

import numpy as np

from lungscan.clinical.measure import Axes, MeasuredNodule, NoduleMeasures
from lungscan.clinical.nodule_type import Kind, TypeCutoffs
from lungscan.volume import Grid

GRID = Grid((9, 9, 9), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))


def axes(long_mm: float, short_mm: float | None = None) -> Axes:
    nowhere = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    return Axes(0, long_mm, long_mm if short_mm is None else short_mm, nowhere, nowhere)


def measures(
    mean_mm: float,
    kind: Kind = Kind.solid,
    solid_mm: float | None = None,
    slice_mm: float = 1.0,
    volume_mm3: float | None = None,
) -> NoduleMeasures:
    """A ball, unless a volume is given."""
    volume = math.pi / 6 * mean_mm**3 if volume_mm3 is None else volume_mm3
    solid = None if solid_mm is None else axes(solid_mm)
    spacing = (slice_mm, 1.0, 1.0)
    return NoduleMeasures(axes(mean_mm), volume, mean_mm, kind, solid, 0.0, (0.0,) * 5, TypeCutoffs(), spacing)


def nodule(id_: int, *args: object, **more: object) -> MeasuredNodule:
    return MeasuredNodule(id_, measures(*args, **more), GRID)  # type: ignore[arg-type]
