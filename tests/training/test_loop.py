"""The training loop against what a killed, a lone and a plainly written training give."""

from __future__ import annotations

import copy
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lungscan.errors import InputRefused, UsageError, WeightsRefused
from lungscan.training import checkpoint
from lungscan.training.loop import Told, Validation, _reseed, train
from lungscan.training.samples import CPU, Batch
from lungscan.training.schedule import one_cycle
from tests.conftest import ROOT
from tests.training.tiny import PLAN, Blobs, network, validate, write

TINY = ROOT / "tests" / "training" / "tiny.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted training writes."""
    return finished(tmp_path_factory.mktemp("whole"))


def finished(folder: Path) -> Path:
    write(train(network(), Blobs(), nn.CrossEntropyLoss(), PLAN, folder, validate), folder / "result.safetensors")
    return folder


def test_a_killed_training_that_goes_on_ends_with_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    """Two of them, killed before and after the first validation, wherever they happen to be."""
    trainings = {}
    for least in (4, 24):
        (tmp_path / str(least)).mkdir()
        trainings[least] = subprocess.Popen([sys.executable, str(TINY), str(tmp_path / str(least)), "0.05"], env=ENVIRONMENT)
    for least, process in trainings.items():
        while step_of(tmp_path / str(least)) < least:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / str(least) / "result.safetensors").exists()
    for least in trainings:
        for name, data in contents(whole).items():
            assert contents(finished(tmp_path / str(least)))[name] == data, (least, name)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


def step_of(folder: Path) -> int:
    if not (folder / checkpoint.FILE).is_file():
        return 0
    tensors = load_file(folder / checkpoint.FILE)
    return int(tensors["module.0.num_batches_tracked"])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What two processes train under torchrun, on gloo; both of them end with it."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    subprocess.run([*launch, str(TINY), str(folder), "0", "fp32"], env=ENVIRONMENT, check=True, capture_output=True)
    first, second = load_file(folder / "result.safetensors"), load_file(folder / "result1.safetensors")
    assert len(first.pop("history")) == 6
    assert len(second.pop("history")) == 0
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    return first


def test_two_processes_train_as_one_that_averages_their_gradients(two: dict[str, Tensor]) -> None:
    """Written plainly: two batches a step, the mean of their gradients, the first batch's norms."""
    module = network()
    mean = copy.deepcopy(module)
    best, least = mean, math.inf
    optimiser = torch.optim.AdamW(module.parameters(), lr=1.0, weight_decay=1e-4)
    for step in range(PLAN.steps):
        module.train()
        optimiser.param_groups[0]["lr"] = one_cycle(step, PLAN.steps, PLAN.rate)
        gradients = []
        for rank in (1, 0):
            norms = {name: value.clone() for name, value in module.named_buffers()}
            module.zero_grad()
            gradients.append(gradient(module, step, rank))
            if rank:
                for name, value in module.named_buffers():
                    value.copy_(norms[name])
        for parameter, *both in zip(module.parameters(), *gradients, strict=True):
            parameter.grad = (both[0] + both[1]) / 2
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in module.parameters() if p.grad is not None))
        for parameter in module.parameters():
            assert parameter.grad is not None
            parameter.grad *= min(1, 5 / (norm + 1e-6))
        optimiser.step()
        keep = min(0.99, (1 + step) / (10 + step))
        for old, new in zip(mean.state_dict().values(), module.state_dict().values(), strict=True):
            old.copy_(keep * old + (1 - keep) * new if old.is_floating_point() else new)
        if (step + 1) % PLAN.validate_every == 0 and (loss := -validate(mean.eval()).score[0]) < least:
            best, least = copy.deepcopy(mean), loss
    for name, value in best.state_dict().items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def gradient(module: nn.Module, step: int, rank: int) -> list[Tensor]:
    x, y = Blobs().batch(step, rank)
    _reseed(PLAN.seed, step, rank)
    nn.functional.cross_entropy(module(x), y).backward()
    return [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]


class Scored:
    """Validations that give these scores, one after the other; each remembers the network's last layer."""

    def __init__(self, *scores: tuple[float, ...]) -> None:
        self.scores, self.seen = list(scores), []

    def __call__(self, module: nn.Module) -> Validation:
        self.seen.append(module.state_dict()["7.weight"].clone())
        score = self.scores[len(self.seen) - 1]
        return Validation(score, {"validation/first": score[0]})


@pytest.mark.parametrize(
    ("scores", "best"),
    [([(0.5,), (0.9,), (0.7,)], 1), ([(0.5, -0.3), (0.5, -0.2), (0.5, -0.4)], 1), ([(0.5,), (0.5,), (math.nan,)], 0)],
)
def test_the_best_validation_decides(scores: list[tuple[float, ...]], best: int) -> None:
    """The second number counts where the first ones are equal; what is no number is never the best."""
    judge = Scored(*scores)
    trained = train(network(), Blobs(), nn.CrossEntropyLoss(), replace(PLAN, steps=30), validate=judge)
    assert trained.step == 10 * (best + 1)
    assert torch.equal(trained.network.state_dict()["7.weight"], judge.seen[best])
    assert [step for step, _ in trained.history] == [10, 20, 30]


def test_it_ends_after_so_many_validations_without_a_better_one(tmp_path: Path) -> None:
    judge = Scored((0.1,), (0.4,), (0.3,), (0.2,))
    plan = replace(PLAN, patience=2)
    trained = train(network(), Blobs(), nn.CrossEntropyLoss(), plan, tmp_path, judge)
    assert len(judge.seen) == 4
    assert trained.step == 20
    again = train(network(), Blobs(), nn.CrossEntropyLoss(), plan, tmp_path, judge)
    assert len(judge.seen) == 4
    assert again.history == trained.history
    for name, value in trained.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)


def test_without_a_validation_the_last_mean_is_the_result() -> None:
    told: list[Told] = []
    trained = train(network(), Blobs(), nn.CrossEntropyLoss(), replace(PLAN, steps=40), tell=told.append)
    assert trained.step == 40
    assert trained.network is told[-1].network
    assert not trained.network.training
    assert [t.step for t in told] == [10, 20, 30, 40]
    assert told[-1].loss < told[0].loss


@pytest.mark.parametrize(
    ("name", "change"), [("seed", {"seed": 4}), ("steps", {"steps": 61}), ("card", {"key": {"card": "other"}})]
)
def test_a_checkpoint_of_another_training_is_refused(name: str, change: dict[str, object], tmp_path: Path) -> None:
    plan = replace(PLAN, steps=10, key={"card": "this"})
    train(network(), Blobs(), nn.CrossEntropyLoss(), plan, tmp_path)
    with pytest.raises(UsageError, match=f"another training: {name} is"):
        train(network(), Blobs(), nn.CrossEntropyLoss(), replace(plan, **change), tmp_path)  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    with pytest.raises(InputRefused, match="no number at step 10"):
        train(network(), Blobs(), lambda logits, _: logits.sum() * math.nan, PLAN)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train(network(), Blobs(), nn.CrossEntropyLoss(), replace(PLAN, steps=4), tmp_path)
    data = (tmp_path / checkpoint.FILE).read_bytes()
    (tmp_path / checkpoint.FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsRefused, match="remove it"):
        train(network(), Blobs(), nn.CrossEntropyLoss(), replace(PLAN, steps=4), tmp_path)


def test_a_step_s_batch_reaches_the_network_in_its_turn() -> None:
    """Batches are cut ahead by other threads, and come in order all the same."""

    class Slower:
        def batch(self, step: int, rank: int = 0, device: torch.device = CPU) -> Batch:  # noqa: ARG002
            assert rank == 0
            time.sleep(0.01 * (step % 3 == 0))
            return torch.full((2, 2, 4, 4), float(step)), torch.zeros(2, dtype=torch.int64)

    seen = []

    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(float(x.mean()))
            return x.mean((2, 3)) * self.scale

    train(Remembers(), Slower(), nn.CrossEntropyLoss(), replace(PLAN, steps=12))
    assert seen == list(range(12))
