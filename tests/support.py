"""Small networks and volumes for tests."""

from __future__ import annotations

import numpy as np
import torch

from lungscan.findings import Thresholds
from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.unet import UNet
from lungscan.volume import Grid, Source, Volume
from lungscan.weights.card import Card, Cnn3dCard, GroupingCard, InputCard, UNetCard


def small_card() -> Card:
    cnn = Cnn3dCard(widths=(3, 5))
    return Card(
        name="small",
        input=InputCard(window_hu=(-1000, 400), spacing_irc_mm=None, context_slices=3, crop_irc=(8, 12, 12)),
        segmentation=UNetCard(depth=3, width=4),
        nodule=cnn,
        malignancy=cnn,
        grouping=GroupingCard(cleanup="none", connectivity=26, minimum_mm3=0.0, outline=0.0),
        thresholds=Thresholds(0.5, 0.5, 0.5),
        label_rule="two-of-four",
    )


def random_networks(card: Card, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Tensors as training would leave them: norms with statistics of their own."""
    torch.manual_seed(seed)
    modules = {
        "segmentation": UNet(
            2 * card.input.context_slices + 1, card.segmentation.depth, card.segmentation.width, card.segmentation.stem
        ),
        "nodule": Cnn3d(card.input.crop_irc, card.nodule.widths, len(card.input.crop_scales)),
    }
    if card.malignancy is not None:
        modules["malignancy"] = Cnn3d(card.input.crop_irc, card.malignancy.widths, len(card.input.crop_scales))
    out = {}
    for name, module in modules.items():
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
                torch.nn.init.normal_(part.weight, 1, 0.2)
                torch.nn.init.normal_(part.bias, 0, 0.2)
                first = part.num_features == modules["segmentation"].input_norm.num_features or part.num_features == 1
                part.running_mean.fill_(-600.0 if first else 0.1)
                part.running_var.fill_(400.0**2 if first else 0.8)
        state = {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}
        out[name] = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    return out


def volume(
    hu: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), direction: np.ndarray | None = None
) -> Volume:
    grid = Grid(hu.shape, spacing, (0.0, 0.0, 0.0), np.eye(3) if direction is None else direction)
    return Volume(hu.astype(np.int16), grid, Source("made.mhd", "metaio", "1.2.3"))
