"""A training that takes a second: `python tests/training/tiny.py FOLDER SECONDS [fp32]` writes FOLDER/result.safetensors.

SECONDS is how long each step sleeps.

Norms, dropout, a running mean and validations are all in it, so that each would show if it were forgotten on the way.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lungscan.training import devices
from lungscan.training.loop import Plan, Trained, Validation, train
from lungscan.training.samples import CPU, Batch, generators

PLAN = Plan(steps=60, rate=1e-2, seed=3, device="cpu", validate_every=10, save_every=4)


class Blobs:
    """Planes of noise, some brighter: is this one of them?"""

    def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:  # noqa: ARG002
        rng, generator = generators(5, step, rank)
        y = torch.from_numpy(rng.integers(0, 2, 8))
        return torch.randn(8, 2, 12, 12, generator=generator) * 200 - 700 + 100 * y[:, None, None, None], y


def network(dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.BatchNorm2d(2),
        nn.Conv2d(2, 6, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(6, 2),
    )


def validate(module: nn.Module) -> Validation:
    """Cross entropy on one batch that no step trains on."""
    x, y = Blobs().batch(10_000)
    with torch.inference_mode():
        loss = float(nn.functional.cross_entropy(module(x), y))
    return Validation((-loss,), {"validation/loss": loss})


def slow_loss(seconds: float) -> nn.Module:
    class Slow(nn.CrossEntropyLoss):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            time.sleep(seconds)
            return super().forward(logits, target)

    return Slow()


def main() -> None:
    folder, seconds, *more = sys.argv[1:]
    torch.set_num_threads(1)
    if more == ["fp32"]:
        devices.native_bf16 = lambda _: False
    with devices.team("cpu"):
        trained = train(network(), Blobs(), slow_loss(float(seconds)), PLAN, Path(folder), validate)
        rank = devices.rank()
    write(trained, Path(folder) / f"result{rank or ''}.safetensors")


def write(trained: Trained, path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in trained.network.state_dict().items()}
    state["history"] = torch.tensor([figures["validation/loss"] for _, figures in trained.history], dtype=torch.float64)
    save_file(state, path)


if __name__ == "__main__":
    main()
