"""The classifier: a small 3-D CNN on one crop a candidate, whole in this file (needs torch: training and tests).

Tail (batch norm on raw HU), backbone (blocks of two 3x3x3 convolutions and a max pool), head (one linear layer), after
*Deep Learning with PyTorch*, chapter 11. A batch norm behind each convolution lets it learn in a third of the steps; when it
has, they are folded into the convolutions, and cost a scan nothing.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.fusion import fuse_conv_bn_eval

LEAST_FOR_BF16 = 4
"""Voxels of a grid's shortest side. On smaller ones oneDNN's bf16 gradient of a 3-D convolution is at times not finite
(seen with torch 2.13 on a CPU)."""


class Block(nn.Module):
    """Two times convolution and ReLU, then half the size."""

    def __init__(self, inside: int, outside: int, norms: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inside, outside, 3, padding=1, bias=not norms)
        self.norm1 = nn.BatchNorm3d(outside) if norms else nn.Identity()
        self.conv2 = nn.Conv3d(outside, outside, 3, padding=1, bias=not norms)
        self.norm2 = nn.BatchNorm3d(outside) if norms else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        return F.max_pool3d(F.relu(self.norm2(self.conv2(x))), 2)

    def fold(self) -> None:
        """The norms, as they act once trained, into the convolutions."""
        for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
            if isinstance(getattr(self, norm), nn.BatchNorm3d):
                setattr(self, conv, fuse_conv_bn_eval(getattr(self, conv), getattr(self, norm)))
                setattr(self, norm, nn.Identity())


class Cnn3d(nn.Module):
    """HU crops to two logits, (N, scales, I, R, C) float32 to (N, 2); the second is the class looked for.

    The channels are the same place at several scales; dropout acts before the head, in training alone. The convolutions
    start as He et al. 2015 have it: torch's own start halves what passes each, and without norms a training may then never
    take off.
    """

    def __init__(
        self,
        crop_irc: tuple[int, int, int],
        widths: tuple[int, ...],
        scales: int = 1,
        dropout: float = 0.0,
        norms: bool = False,
    ) -> None:
        super().__init__()
        self.tail_norm = nn.BatchNorm3d(scales)
        self.blocks = nn.ModuleList(Block(a, b, norms) for a, b in zip([scales, *widths], widths, strict=False))
        self.dropout = nn.Dropout(dropout)
        for part in self.blocks.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        self.head = nn.Linear(widths[-1] * math.prod(n >> len(widths) for n in crop_irc), 2)

    def forward(self, hu: Tensor) -> Tensor:
        x = self.tail_norm(hu)
        for block in self.blocks:
            x = _in_single(block, x) if min(x.shape[2:]) < LEAST_FOR_BF16 else block(x)
        return self.head(self.dropout(x.flatten(1)))  # type: ignore[no-any-return]

    def folded(self) -> Cnn3d:
        """The same network in evaluation mode, without norms between its convolutions."""
        out = copy.deepcopy(self).eval()
        for block in out.blocks:
            block.fold()  # type: ignore[operator]
        return out


def _in_single(block: nn.Module, x: Tensor) -> Tensor:
    """A block in float32, whatever autocast asks for."""
    with torch.autocast(x.device.type, enabled=False):
        return block(x.float())  # type: ignore[no-any-return]
