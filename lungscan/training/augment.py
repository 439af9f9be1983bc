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

    shift_voxels : along every resampled axis
    scale        : 0.15 means from 0.85 to 1.15 times
    turn         : share of a full turn about the head-foot axis, to either side
    noise_hu     : standard deviation of white noise, from nothing up to this
    """

    mirror: bool = True
    shift_voxels: float = 3.0
    scale: float = 0.15
    turn: float = 0.5
    noise_hu: float = 25.0


def matrices(count: int, size: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """(count, 2, 3) from an output position to the input's, in `grid_sample`'s (column, row) in -1..1 of `size` pixels."""
    u = torch.rand(count, 5, generator=generator)
    mirror = torch.where((u[:, 0] < 0.5) & torch.tensor(how.mirror), -1.0, 1.0)
    angle = (2 * u[:, 1] - 1) * how.turn * 2 * math.pi
    scale = 1 / (1 + (2 * u[:, 2] - 1) * how.scale)
    shift = (2 * u[:, 3:5] - 1) * how.shift_voxels * 2 / size
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)]
    return torch.stack(rows, 1)


def augmented(
    hu: Tensor, label: Tensor | None, size: int, how: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Samples moved in the plane and cut to their middle `size` x `size`, each as a whole: all slices of one move alike.

    hu    : (N, slices, H, W) float32, H = W >= size; slices may be turned upside down when `mirror` is on
    label : (N, H, W) uint8 or None, moved with it by the nearest neighbour
    """
    theta = matrices(len(hu), hu.shape[-1], how, generator).to(hu.device)
    grid = F.affine_grid(theta, [len(hu), 1, *hu.shape[2:]], align_corners=False)
    low = (hu.shape[-1] - size) // 2
    grid = grid[:, low : low + size, low : low + size]
    if how.mirror:
        upside = torch.rand(len(hu), generator=generator) < 0.5
        hu = torch.where(upside[:, None, None, None].to(hu.device), hu.flip(1), hu)
    hu = F.grid_sample(hu, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if how.noise_hu:
        sigma = torch.rand(len(hu), 1, 1, 1, generator=generator) * how.noise_hu
        hu = hu + (torch.randn(hu.shape, generator=generator) * sigma).to(hu.device)
    if label is not None:
        moved = F.grid_sample(label[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
        label = moved[:, 0].to(torch.uint8)
    return hu, label
