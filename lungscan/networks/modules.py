"""From a card to its torch modules, and from trained modules to the tensors of a weights file (needs torch)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.unet import UNet
from lungscan.weights import Tensors
from lungscan.weights.card import Card, Cnn3dCard


def unet(card: Card) -> UNet:
    """The segmentation network that a card asks for, untrained."""
    shape = card.segmentation
    return UNet(2 * card.input.context_slices + 1, shape.depth, shape.width, shape.stem)


def classifier(card: Card, shape: Cnn3dCard, dropout: float = 0.0, norms: bool = False) -> Cnn3d:
    """A classifier that a card asks for, untrained."""
    return Cnn3d(card.input.crop_irc, shape.widths, len(card.input.crop_scales), dropout, norms)


def arrays(module: nn.Module) -> Tensors:
    """A module's tensors as a weights file holds them: float32, a classifier's norms folded, no counters of norms."""
    module = module.folded() if isinstance(module, Cnn3d) else module
    state = {name: value.detach().cpu().contiguous().numpy() for name, value in module.state_dict().items()}
    return {name: value.astype(np.float32) for name, value in state.items() if not name.endswith("num_batches_tracked")}


def fill(module: nn.Module, tensors: Tensors) -> None:
    """Put a weights file's tensors into a module of the same shape."""
    module.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, strict=False)
