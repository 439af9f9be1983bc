"""The training loop: AdamW under one cycle, clipped gradients, and a running mean of the weights as the result."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lungscan.training.samples import Batches

MEAN_DECAY = 0.99  # of the running mean, a step


def train(
    module: nn.Module,
    batches: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    rate: float,
    tell: Callable[[int, float, float], None],
) -> nn.Module:
    """Train in place for `steps` batches and return the running mean of the weights, in evaluation mode.

    tell : called ten times with the step, the mean loss since the last call and the seconds so far
    """
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    running_mean = torch.optim.swa_utils.get_ema_multi_avg_fn(MEAN_DECAY)  # type: ignore[no-untyped-call]
    mean = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=running_mean, use_buffers=True)
    module.train()
    running, start, every = 0.0, time.perf_counter(), max(steps // 10, 1)
    for step in range(1, steps + 1):
        x, y = next(batches)
        value = loss(module(x), y)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(module)
        running += float(value.detach())
        if step % every == 0:
            tell(step, running / every, time.perf_counter() - start)
            running = 0.0
    result: nn.Module = mean.module
    return result.eval()
