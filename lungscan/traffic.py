"""Bytes that the stages of a scan must move at the least: every layer reads its input and writes its output once.

What a stage took, set beside this, tells whether it waits for memory. For the U-Net of 7 slices, depth 3 and width 16 it is
157 MB a slice of 512 x 512 in float16.
"""

from __future__ import annotations

import math

from lungscan.networks import graph
from lungscan.volume import Shape
from lungscan.weights.card import Card, Cnn3dCard

ITEM_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


def unet(card: Card, pixels: int, precision: str) -> int:
    """Of the segmentation network, for so many pixels of stacks."""
    shape = card.segmentation
    fold = graph.fold(shape) ** 2
    channels = (2 * card.input.context_slices + 1) * fold
    moved = 0.0
    for level in range(shape.depth):
        width, share = shape.width * 2**level, 1 / (fold * 4**level)
        moved += (channels + 3 * width) * share
        if level + 1 < shape.depth:
            moved += 1.25 * width * share  # pooled
            moved += (2 * width / 4 + width) * share  # doubled on the way up
            moved += (3 * width + 2 * width) * share  # joined with the skip, convolved twice
        channels = width
    moved += (shape.width + fold) / fold  # the last convolution
    return round(pixels * moved * ITEM_BYTES[precision])


def classifier(card: Card, shape: Cnn3dCard, crops: int, precision: str) -> int:
    """Of a classifier, for so many crops."""
    voxels = math.prod(card.input.crop_irc)
    channels, moved = len(card.input.crop_scales), 0.0
    for level, width in enumerate(shape.widths):
        moved += (channels + 3 * width + 1.125 * width) / 8**level
        channels = width
    return round(crops * voxels * moved * ITEM_BYTES[precision])


def resampling(shape: Shape, new_shape: Shape) -> int:
    """Of int16 HU to another grid."""
    return 2 * (math.prod(shape) + math.prod(new_shape))


def grouping(heatmap: Shape) -> int:
    """Of a float32 heatmap that is read once."""
    return 4 * math.prod(heatmap)
