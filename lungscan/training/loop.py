"""The training loop: AdamW under one cycle, clipped gradients, and a running mean of the weights as the result.

A step depends on the weights, the seed, the step and the rank alone, and a checkpoint holds all that changes from step to
step: a training that was killed and goes on ends with the very weights of one that was not (on one thread; several may add
in another order). Under `torchrun` every process trains on batches of its own, their gradients averaged.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from lungscan.errors import InputRefused
from lungscan.training import checkpoint, devices
from lungscan.training.samples import Batch, Sampler
from lungscan.training.schedule import one_cycle

WEIGHT_DECAY = 1e-4
LONGEST_GRADIENT = 5.0
MEAN_DECAY = 0.99  # of the running mean, a step; less in the first steps
TELL_EVERY = 10  # steps

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits in float32 and the target, a mean over the batch."""


@dataclass(frozen=True)
class Plan:
    """How long, how fast, and when to look.

    rate     : the highest learning rate
    patience : validations in a row that are not the best, after which the training ends
    key      : what else must be the same for a training to go on: the card, the data
    """

    steps: int
    rate: float
    seed: int = 0
    device: str = "auto"
    validate_every: int = 200
    save_every: int = 100
    patience: int = 8
    key: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    score    : the greater is the better; a later number counts where the earlier ones are equal
    figures  : by name, as "validation/AUC"
    curves   : by name, scores (N,) and truth (N,)
    pictures : by name, (H,W,3) with values 0 to 1
    """

    score: tuple[float, ...]
    figures: Mapping[str, float]
    curves: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]] = field(default_factory=dict)
    pictures: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """Every few steps, and at each validation. `loss` is the mean since the last time; `network` the running mean."""

    step: int
    steps: int
    loss: float
    rate: float
    seconds: float
    network: nn.Module
    validation: Validation | None = None
    best: bool = False


@dataclass(frozen=True)
class Trained:
    """The result: the running mean of the weights, in evaluation mode, as it was at its best validation (without one: last).

    history : step and figures of each validation
    """

    network: nn.Module
    step: int
    history: tuple[tuple[int, Mapping[str, float]], ...]


Validate = Callable[[nn.Module], Validation]
Tell = Callable[[Told], None]


def silent(told: Told) -> None:
    pass


def train(
    module: nn.Module,
    sampler: Sampler,
    loss: Loss,
    plan: Plan,
    folder: Path | None = None,
    validate: Validate | None = None,
    tell: Tell = silent,
) -> Trained:
    """Train a module in place, from the checkpoint in `folder` where there is one; without a folder none is kept.

    The process of rank 0 alone validates, tells and writes. Raises UsageError when the checkpoint is of another training,
    InputRefused when the loss is no longer a number.
    """
    state = _State(module, plan)
    state.resume(folder)
    lead = devices.rank() == 0
    started = time.monotonic()
    since: list[Tensor] = []
    steps = range(state.step, 0 if state.ended else plan.steps)
    for step, (x, y) in zip(steps, _ahead(sampler, steps, state.device), strict=True):
        value = state.advance(step, x, y, loss)
        since += [value] if lead else []
        looks = validate is not None and (state.step % plan.validate_every == 0 or state.step == plan.steps)
        if lead and (looks or state.step % TELL_EVERY == 0):
            mean_loss = float(torch.stack(since).mean())
            since.clear()
            if not math.isfinite(mean_loss):
                raise InputRefused(
                    f"the loss is no number at step {state.step}; lower the learning rate, or look at the data."
                )
            found = validate(state.mean) if looks and validate is not None else None
            best = found is not None and state.keep(found)
            seconds = time.monotonic() - started
            rate = one_cycle(step, plan.steps, plan.rate)
            tell(Told(state.step, plan.steps, mean_loss, rate, seconds, state.mean, found, best))
        if looks:
            state.agree()
        if lead and folder is not None and (looks or state.step % plan.save_every == 0 or state.step == plan.steps):
            state.save(folder)
        if state.ended:
            break
    return state.result()


class _State:
    """All that changes from step to step."""

    def __init__(self, module: nn.Module, plan: Plan) -> None:
        self.plan, self.device = plan, devices.device_of(plan.device)
        self.module = module.to(self.device)
        for parameter in module.parameters():
            parameter.data = torch.empty_like(parameter, memory_format=devices.layout(parameter)).copy_(parameter)
        self.module.train()
        self.mean = copy.deepcopy(module).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(module.parameters(), lr=plan.rate, weight_decay=WEIGHT_DECAY)
        self.wrapped = nn.parallel.DistributedDataParallel(module) if dist.is_initialized() else module
        self.step = 0
        self.best: dict[str, Tensor] = {}
        self.best_score: tuple[float, ...] = ()
        self.best_step = 0
        self.stale = 0
        self.history: list[tuple[int, Mapping[str, float]]] = []
        shapes = sorted((name, tuple(tensor.shape)) for name, tensor in module.state_dict().items())
        own = {name: value for name, value in asdict(plan).items() if name not in ("device", "save_every", "key")}
        self.key = {
            **own,
            **plan.key,
            "processes": devices.processes(),
            "network": hashlib.sha256(str(shapes).encode()).hexdigest()[:12],
        }

    @property
    def ended(self) -> bool:
        return self.stale >= self.plan.patience

    def advance(self, step: int, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
        """One step of the optimiser and of the running mean; the loss."""
        self.optimiser.param_groups[0]["lr"] = one_cycle(step, self.plan.steps, self.plan.rate)
        _reseed(self.plan.seed, step, devices.rank())
        with devices.autocast(self.device):
            logits = self.wrapped(devices.moved(x, self.device))
        value = loss(logits.float(), y.to(self.device, non_blocking=True))
        self.optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        decay = min(MEAN_DECAY, (1 + step) / (10 + step))
        for mean, now in zip(self.mean.state_dict().values(), self.module.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
        self.step = step + 1
        return value.detach()

    def keep(self, found: Validation) -> bool:
        """Remember a validation; whether it is the best."""
        self.history.append((self.step, dict(found.figures)))
        best = not self.best or found.score > self.best_score
        self.stale = 0 if best else self.stale + 1
        if best:
            self.best = {name: tensor.clone() for name, tensor in self.mean.state_dict().items()}
            self.best_score, self.best_step = found.score, self.step
        return best

    def agree(self) -> None:
        """Every process ends when the first one does."""
        if dist.is_initialized():
            stale = torch.tensor(self.stale, device=self.device)
            dist.broadcast(stale, 0)
            self.stale = int(stale)

    def save(self, folder: Path) -> None:
        moments = [self.optimiser.state[parameter] for parameter in self.module.parameters()]
        groups: dict[str, Mapping[str, Tensor]] = {
            "module": self.module.state_dict(),
            "mean": self.mean.state_dict(),
            "best": self.best,
            "first": {str(k): moment["exp_avg"] for k, moment in enumerate(moments)},
            "second": {str(k): moment["exp_avg_sq"] for k, moment in enumerate(moments)},
        }
        tensors = {f"{group}.{name}": tensor for group, parts in groups.items() for name, tensor in parts.items()}
        facts = {name: getattr(self, name) for name in ("step", "best_score", "best_step", "stale", "history")}
        checkpoint.save(folder, tensors, facts, self.key)

    def resume(self, folder: Path | None) -> None:
        found = None if folder is None else checkpoint.load(folder, self.key)
        if found is None:
            return
        tensors, facts = found
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, part = name.partition(".")
            groups.setdefault(group, {})[part] = tensor
        self.module.load_state_dict(groups["module"])
        self.mean.load_state_dict(groups["mean"])
        self.best = {name: tensor.to(self.device) for name, tensor in groups.get("best", {}).items()}
        for k, parameter in enumerate(self.module.parameters()):
            self.optimiser.state[parameter] = {
                "step": torch.tensor(float(facts["step"])),
                "exp_avg": torch.empty_like(parameter).copy_(groups["first"][str(k)]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(groups["second"][str(k)]),
            }
        self.step, self.best_step, self.stale = facts["step"], facts["best_step"], facts["stale"]
        self.best_score = tuple(facts["best_score"])
        self.history = [(step, figures) for step, figures in facts["history"]]

    def result(self) -> Trained:
        if self.best:
            self.mean.load_state_dict(self.best)
        if dist.is_initialized():
            for tensor in self.mean.state_dict().values():
                dist.broadcast(tensor, 0)
        return Trained(self.mean, self.best_step or self.step, tuple(self.history))


def _ahead(sampler: Sampler, steps: range, device: torch.device) -> Iterator[Batch]:
    """The batches of these steps, the next ones cut by other threads while this one is learned from."""
    threads = max(torch.get_num_threads() // 2, 1) if device.type == "cuda" else 1
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for step in steps:
            waiting.append(pool.submit(sampler.batch, step, devices.rank(), device))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _reseed(seed: int, step: int, rank: int) -> None:
    """Dropout, too, depends on nothing else."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))
