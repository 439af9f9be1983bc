"""Augmentation in one batched pass on the device: mirror, shift, scale, turn about the head-foot axis, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True)
class Augmentation:
    """How far each sample may be moved. Every share is drawn uniformly, each sample its own.

    shift_voxels : along rows and columns
    scale        : 0.15 means from 0.85 to 1.15 times
    turn         : share of a full turn about the head-foot axis, to either side
    noise_hu     : standard deviation of white noise, from nothing up to this
    offset_hu    : of all densities alike, to either side
    """

    mirror: bool = True
    shift_voxels: float = 3.0
    scale: float = 0.15
    turn: float = 0.5
    noise_hu: float = 25.0
    offset_hu: float = 0.0


@dataclass(frozen=True)
class Moves:
    """One move a sample, from an output position to the input's, as (column, row) from the middle.

    linear : (N, 2, 2)
    shift  : (N, 2) voxels
    upside : (N,) whether the slices are turned upside down
    """

    linear: Tensor
    shift: Tensor
    upside: Tensor


def draw(count: int, how: Augmentation, generator: torch.Generator) -> Moves:
    """The moves of `count` samples."""
    u = torch.rand(count, 6, generator=generator)
    mirror = torch.where((u[:, 0] < 0.5) & torch.tensor(how.mirror), -1.0, 1.0)
    angle = (2 * u[:, 1] - 1) * how.turn * 2 * math.pi
    scale = 1 / (1 + (2 * u[:, 2] - 1) * how.scale)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    linear = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)
    return Moves(linear, (2 * u[:, 3:5] - 1) * how.shift_voxels, (u[:, 5] < 0.5) & torch.tensor(how.mirror))


def moved(image: Tensor, moves: Moves, size: int, *, coarser: int = 1, nearest: bool = False) -> Tensor:
    """Samples moved in the plane and cut to their middle `size` x `size`, each as a whole: all slices of one move alike.

    image   : (N, slices, H, W) float32, H = W >= size; beyond its border the border is repeated
    coarser : how many voxels of the moves' grid one of the image's is wide
    """
    side = image.shape[-1]
    theta = torch.cat([moves.linear, moves.shift[:, :, None] * 2 / (side * coarser)], dim=2).to(image.device)
    grid = F.affine_grid(theta, [len(image), 1, side, side], align_corners=False)
    low = (side - size) // 2
    grid = grid[:, low : low + size, low : low + size]
    image = torch.where(moves.upside[:, None, None, None].to(image.device), image.flip(1), image)
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def noisy(hu: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """HU (N, ...) with white noise and an offset, each sample its own."""
    one = [len(hu), *[1] * (hu.dim() - 1)]
    sigma, offset = (torch.rand(one, generator=generator).to(hu.device) for _ in range(2))
    if hu.device.type != "cpu":  # the noise of every voxel is drawn where the voxels are
        generator = torch.Generator(hu.device).manual_seed(generator.initial_seed())
    noise = torch.randn(hu.shape, generator=generator, device=hu.device)
    return hu + noise * (sigma * how.noise_hu) + (2 * offset - 1) * how.offset_hu
