"""The plain way to do each stage, as *Deep Learning with PyTorch* does it: the baseline of every ratio.

PyTorch eager in fp32, one whole slice a batch; SciPy's erosion, label and centre of mass over the whole volume; one crop
after another. Written as the book describes it, on all cores that torch takes by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.unet import UNet
from lungscan.weights import Tensors, Weights

Hu = npt.NDArray[np.int16]
WINDOW_HU = (-1000, 1000)
CROP_IRC = (32, 48, 48)
CONTEXT = 3


def modules(weights: Weights) -> tuple[nn.Module, nn.Module]:
    """The two networks as torch modules in evaluation mode."""
    card = weights.card
    unet = UNet(2 * card.input.context_slices + 1, card.segmentation.depth, card.segmentation.width)
    return _filled(unet, weights.segmentation), _filled(Cnn3d(card.input.crop_irc, card.nodule.widths), weights.nodule)


def _filled(module: nn.Module, tensors: Tensors) -> nn.Module:
    module.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, strict=False)
    return module.eval()


def clipped(hu: Hu) -> npt.NDArray[np.float32]:
    return np.clip(hu.astype(np.float32), *WINDOW_HU)


@torch.inference_mode()
def segment(hu: npt.NDArray[np.float32], unet: nn.Module) -> npt.NDArray[np.float32]:
    """Probability of every voxel, one slice at a time."""
    heatmap = np.zeros_like(hu)
    volume = torch.from_numpy(hu)
    for focus in range(len(hu)):
        stack = torch.stack([volume[min(max(k, 0), len(hu) - 1)] for k in range(focus - CONTEXT, focus + CONTEXT + 1)])
        heatmap[focus] = torch.sigmoid(unet(stack[None]))[0, 0].numpy()
    return heatmap


def group(heatmap: npt.NDArray[np.float32], hu: npt.NDArray[np.float32]) -> list[tuple[float, float, float]]:
    """Centres of the components of the eroded mask, weighted by density."""
    mask = ndimage.binary_erosion(heatmap > 0.5, iterations=1)
    labels, count = ndimage.label(mask)
    return list(ndimage.center_of_mass(hu + 1001, labels=labels, index=np.arange(1, count + 1)))


@torch.inference_mode()
def classify(hu: npt.NDArray[np.float32], centres: list[tuple[float, float, float]], cnn: nn.Module) -> list[float]:
    """P(nodule) of the crop around each centre, one by one."""
    out = []
    for centre in centres:
        cut = []
        for at, width, size in zip(centre, CROP_IRC, hu.shape, strict=True):
            start = min(max(round(round(at) - width / 2), 0), size - width)
            cut.append(slice(start, start + width))
        crop = torch.from_numpy(hu[tuple(cut)].copy())[None, None]
        out.append(float(torch.softmax(cnn(crop), dim=1)[0, 1]))
    return out
