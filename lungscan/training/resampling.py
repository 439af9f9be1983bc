"""A volume → the networks' grid, on the CPU or, through CuPy, on a GPU by the same code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lungscan.errors import EngineUnavailable
from lungscan.kernels.resample import resample
from lungscan.volume import Grid, Triple, Volume

DEVICES = ("cpu", "cuda")


def resampled(volume: Volume, spacing_irc_mm: Triple, device: str) -> Volume:
    """The volume on another spacing along the same axes, its voxels in the computer's memory wherever they were made.

    Raises EngineUnavailable for "cuda" without CuPy or a GPU.
    """
    old = volume.grid
    if device == "cpu":
        hu = resample(volume.hu, old.spacing_irc_mm, spacing_irc_mm)
    else:
        gpu = cupy()
        hu = gpu.asnumpy(resample(gpu.asarray(volume.hu), old.spacing_irc_mm, spacing_irc_mm))
    return replace(volume, hu=hu, grid=Grid(hu.shape, spacing_irc_mm, old.origin_xyz_mm, old.direction))


def cupy() -> Any:
    """The module, with a GPU behind it. Raises EngineUnavailable where either is missing."""
    try:
        import cupy
    except ImportError as error:
        raise EngineUnavailable(
            "--device cuda needs CuPy, which is not installed: pip install 'lungscan-ct[gpu]'."
        ) from error
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        devices = 0
    if not devices:
        raise EngineUnavailable("--device cuda: CuPy sees no GPU here; use --device cpu.")
    return cupy
