"""Resampling against SimpleITK's linear interpolator where the grid gets finer, Pillow's widened triangle where coarser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from lungscan.kernels.resample import resample
from PIL import Image

HU = np.random.default_rng(0).integers(-1024, 2000, (11, 23, 31)).astype(np.int16)


@pytest.mark.parametrize(
    ("old", "new"),
    [((2.5, 0.7, 0.7), (2.0, 0.5, 0.7)), ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), ((3.0, 0.9, 0.5), (1.0, 0.9, 0.3))],
)
def test_a_finer_grid_equals_simpleitk(old: tuple[float, ...], new: tuple[float, ...]) -> None:
    ours = resample(HU, old, new)
    image = sitk.GetImageFromArray(HU.astype(np.float32))
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


@pytest.mark.parametrize("ratio", [1.3, 2.0, 2.7])
def test_a_coarser_grid_equals_pillow(ratio: float) -> None:
    """Pillow counts from pixel edges and ends at the image's, so its input is the row with its ends repeated."""
    row = np.random.default_rng(1).integers(-1000, 400, 60).astype(np.int16)
    ours = resample(np.broadcast_to(row, (1, 1, 60)), (1.0, 1.0, 1.0), (1.0, 1.0, ratio))[0, 0]
    margin = 10
    padded = Image.fromarray(np.pad(row, margin, mode="edge").astype(np.float32)[None])
    first = margin + 0.5 - ratio / 2
    theirs = np.asarray(padded.resize((len(ours), 1), Image.Resampling.BILINEAR, (first, 0, first + ratio * len(ours), 1)))[
        0
    ]
    inner = slice(2, -2)
    assert np.abs(ours[inner] - theirs[inner]).max() <= 0.6


@pytest.mark.parametrize(("old", "new"), [((2.5, 0.7, 0.7), (2.0, 1.25, 1.25)), ((1.0, 0.9, 0.5), (3.1, 0.9, 1.0))])
def test_the_last_voxel_does_not_pass_the_last_one(old: tuple[float, ...], new: tuple[float, ...]) -> None:
    for n, o, a, b in zip(HU.shape, resample(HU, old, new).shape, old, new, strict=True):
        assert (o - 1) * b <= (n - 1) * a + 1e-6 < o * b + 1e-5


def test_noise_averages_out_on_a_coarser_grid() -> None:
    """White noise on half the grid: a triangle of weights 1/4, 1/2, 1/4 along each axis leaves (3/8) ** (3/2) of it."""
    noise = np.rint(np.random.default_rng(2).normal(0, 200, (60, 60, 60))).astype(np.int16)
    left = resample(noise, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0))[2:-2, 2:-2, 2:-2].std() / noise.std()
    assert left == pytest.approx((3 / 8) ** 1.5, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "old", "new"),
    [
        ((5, 9, 13), (2.5, 0.7, 0.7), (2.0, 0.5, 0.7)),
        ((6, 11, 12), (1.0, 0.7, 0.7), (2.0, 1.25, 1.25)),
        ((4, 6, 8), (3.0, 0.9, 0.5), (1.0, 2.9, 1.0)),
        ((1, 1, 1), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)),
        ((3, 4, 300), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    ],
)
def test_triton_resamples_as_numpy_does(
    interpreted: Callable[..., Any], shape: tuple[int, ...], old: tuple[float, ...], new: tuple[float, ...]
) -> None:
    """Within 1 HU, and that only where a mean lies within rounding of a half."""
    hu = np.random.default_rng(3).integers(-32768, 32768, shape).astype(np.int16)
    flipped = (slice(None), slice(None, None, -1), slice(None))
    there, here = interpreted(resample, hu, old, new, part=flipped), resample(hu[flipped], old, new)
    assert there.dtype == np.int16
    differ = np.abs(there.astype(int) - here)
    assert differ.max() <= 1
    assert differ.mean() <= 0.01
    if old == new:
        np.testing.assert_array_equal(there, hu[flipped])


@pytest.mark.parametrize("value", [-32768, -1024, 32767])
def test_triton_leaves_a_constant_as_it_is(interpreted: Callable[..., Any], value: int) -> None:
    out = interpreted(resample, np.full((4, 5, 6), value, np.int16), (2.5, 0.7, 0.7), (2.0, 1.25, 0.5))
    assert (out == value).all()
