"""Losses for a target that is a thousandth of the voxels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lungscan.training.cache import IGNORED

POSITIVE_WEIGHT = 4.0


def segmentation_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Weighted cross entropy plus Dice over the batch (Milletari et al. 2016), plus Dice of the nodule voxels alone.

    logits (N, 1, H, W), label (N, H, W) uint8; voxels with the label IGNORED count nowhere. The last term makes a missed
    nodule voxel dearer than a false one (*Deep Learning with PyTorch*, chapter 13).
    """
    counts = (label != IGNORED).float()
    truth = ((label > 0) & (label != IGNORED)).float()
    scores = logits[:, 0]
    entropy = F.binary_cross_entropy_with_logits(
        scores, truth, weight=counts, pos_weight=torch.tensor(POSITIVE_WEIGHT, device=logits.device)
    )
    p = torch.sigmoid(scores) * counts
    hit = (p * truth).sum()
    dice = 1 - (2 * hit + 1) / (p.sum() + truth.sum() + 1)
    missed = 1 - (2 * hit + 1) / (hit + truth.sum() + 1)
    return 10 * entropy + dice + 0.5 * missed
