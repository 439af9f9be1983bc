"""How well a classifier does on crops of validation patients, and beside them on crops it has learned from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from lungscan.evaluation.roc import auc, average_precision
from lungscan.training import devices
from lungscan.training.loop import Validation
from lungscan.training.metrics import Counts, Floats, Mask
from lungscan.training.samples import Crops, middle
from lungscan.weights.card import Card

MOST_CROPS = 2000  # of each set
BATCH = 64


class CropValidation:
    """Score: the area under the ROC, then the lowest loss. Called with a network that gives two logits.

    Crops are neither moved nor noisy; a crop counts as positive at the threshold. Where a set lacks a class there is no
    area, and the loss alone decides.
    """

    best_by = "area under the ROC, then least cross entropy, on validation crops"

    def __init__(self, validation: Crops, training: Crops, card: Card, threshold: float) -> None:
        self.sets = {"validation": _thinned(validation), "training": _thinned(training)}
        self.card, self.threshold = card, threshold

    def __call__(self, network: nn.Module) -> Validation:
        figures: dict[str, float] = {}
        curves = {}
        for name, crops in self.sets.items():
            p, loss = self._p(network, crops)
            both = bool(crops.positive.any() and not crops.positive.all())
            areas = (
                {"AUC": auc(p, crops.positive), "average precision": average_precision(p, crops.positive)} if both else {}
            )
            counts = Counts.of(p >= self.threshold, crops.positive).figures()
            figures |= {f"{name}/{figure}": value for figure, value in {**areas, **counts, "loss": loss}.items()}
            if both:
                curves[name] = (p, crops.positive)
        return Validation((figures.get("validation/AUC", 0.0), -figures["validation/loss"]), figures, curves)

    def _p(self, network: nn.Module, crops: Crops) -> tuple[Floats, float]:
        """P(positive) (n,) and the mean cross entropy."""
        device = next(network.parameters()).device
        logits = []
        with torch.inference_mode(), devices.autocast(device):
            for start in range(0, len(crops.positive), BATCH):
                x = middle(crops, self.card, slice(start, start + BATCH))
                logits.append(network(devices.moved(x, device)).float().cpu())
        said = torch.cat(logits)
        loss = float(F.cross_entropy(said, torch.from_numpy(crops.positive.astype(np.int64))))
        return said.softmax(dim=1)[:, 1].double().numpy(), loss


def _thinned(crops: Crops) -> Crops:
    """At most MOST_CROPS, the same share of each class: every so manyth."""
    keep: Mask = np.zeros(len(crops.positive), bool)
    share = min(MOST_CROPS / max(len(keep), 1), 1.0)
    for of_class in (crops.positive, ~crops.positive):
        rows = np.flatnonzero(of_class)
        count = min(len(rows), int(np.ceil(share * len(rows))))
        keep[rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]] = True
    return crops.of(keep)
