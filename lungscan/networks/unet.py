"""The segmentation network: a 2-D U-Net over a stack of slices, whole in this file (needs torch: training and tests).

After Ronneberger et al. 2015 in the form of *Deep Learning with PyTorch*, chapter 13: 3x3 convolutions that keep the size,
batch norm after each ReLU, average pooling, transposed convolutions on the way up. A first batch norm scales raw HU.
With the stem "half" the whole U-Net works on squares of 2 x 2 pixels (Shi et al. 2016, sub-pixel convolution).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Block(nn.Module):
    """Two times convolution, ReLU, norm."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(F.relu(self.conv1(x)))
        return self.norm2(F.relu(self.conv2(x)))  # type: ignore[no-any-return]


class Up(nn.Module):
    """Double the size, put the skip beside it, convolve."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inside, outside, 2, stride=2)
        self.block = Block(2 * outside, outside)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(torch.cat([self.up(x), skip], dim=1))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """HU stacks to logits, (N, slices, H, W) float32 to (N, 1, H, W); H and W are multiples of 2 ** (depth - 1), with the
    stem "half" of 2 ** depth."""

    def __init__(self, slices: int, depth: int, width: int, stem: str = "full") -> None:
        super().__init__()
        self.fold = 2 if stem == "half" else 1
        widths = [width * 2**level for level in range(depth)]
        self.input_norm = nn.BatchNorm2d(slices)
        self.down = nn.ModuleList(Block(a, b) for a, b in zip([slices * self.fold**2, *widths], widths, strict=False))
        self.up = nn.ModuleList(Up(2 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, self.fold**2, 1)

    def forward(self, hu: Tensor) -> Tensor:
        x = F.pixel_unshuffle(self.input_norm(hu), self.fold)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.avg_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for step in self.up:
            x = step(x, skips.pop())
        return F.pixel_shuffle(self.last(x), self.fold)
