"""Resampling against SimpleITK's linear interpolator."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from lungscan.kernels.resample import resample


@pytest.mark.parametrize(
    ("old", "new"),
    [((2.5, 0.7, 0.7), (2.0, 1.25, 1.25)), ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), ((3.0, 0.9, 0.5), (1.0, 0.9, 1.0))],
)
def test_equals_simpleitk(old: tuple[float, ...], new: tuple[float, ...]) -> None:
    hu = np.random.default_rng(0).integers(-1024, 2000, (11, 23, 31)).astype(np.int16)
    ours = resample(hu, old, new)
    image = sitk.GetImageFromArray(hu.astype(np.float32))
    image.SetSpacing(old[::-1])
    reference = sitk.Resample(
        image,
        ours.shape[::-1],
        sitk.Transform(),
        sitk.sitkLinear,
        (0.0, 0.0, 0.0),
        new[::-1],
        np.eye(3).ravel().tolist(),
    )
    assert np.abs(ours - sitk.GetArrayFromImage(reference)).max() <= 0.6  # rounded to whole HU, and single precision
    for n, o, a, b in zip(hu.shape, ours.shape, old, new, strict=True):
        assert (o - 1) * b <= (n - 1) * a + 1e-6 < o * b + 1e-5
