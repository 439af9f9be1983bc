"""`lungscan train`, without the command line: train one network of a run, from where it stopped, and keep the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lungscan import files
from lungscan.errors import UsageError
from lungscan.lock import alone_in
from lungscan.networks.modules import arrays
from lungscan.stages import Progress, silent
from lungscan.training import checkpoint, devices, tasks
from lungscan.training.calibrate import calibrate
from lungscan.training.data import Data
from lungscan.training.loop import Plan, Tell, Told, Trained, train
from lungscan.training.run import Run
from lungscan.training.tensorboard import Board, need_tensorboard

PLANS = {
    "segmentation": Plan(steps=6000, rate=4e-3),
    "nodule": Plan(steps=3000, rate=3e-3),
    "malignancy": Plan(steps=800, rate=1e-3),
}
LOOKS, LEAST_BETWEEN = 20, 100  # validations in a training, and steps between two of them


@dataclass(frozen=True)
class Job:
    """What is asked for. Without steps those of `PLANS`; without a card the run's, or for a new run the shipped weights'."""

    network: str
    cache: Path
    folder: Path
    resume: bool = False
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    card: Path | None = None

    def plan(self, key: dict[str, str]) -> Plan:
        steps = self.steps or PLANS[self.network].steps
        look = max(steps // LOOKS, LEAST_BETWEEN)
        return replace(PLANS[self.network], steps=steps, seed=self.seed, device=self.device, validate_every=look, key=key)

    def command(self, steps: int) -> str:
        card = "" if self.card is None else f" --card {self.card}"
        return (
            f"lungscan train {self.network} --cache {self.cache} -o {self.folder} --steps {steps} --seed {self.seed}{card}"
        )


def work(job: Job, tell: Tell, progress: Progress = silent) -> Trained:
    """Train the network, or what is left to train of it, and write it into the run, and the run's weights file, calibrated.

    Raises UsageError when it was begun before and is not to be resumed, when the network that it builds on is missing, and
    while another process trains in the run; NotWritten; what `Data.open` and `train` raise.
    """
    need_tensorboard()
    data = Data.open(job.cache, Run.open(job.folder, job.card).card)
    with _alone_in(job.folder, job.network):
        return _worked(job, data, tell, progress)


@contextmanager
def _alone_in(run: Path, network: str) -> Iterator[None]:
    """Under `torchrun` the first process holds the run for all of them."""
    if devices.rank() > 0:
        yield
        return
    files.make_folder(run)
    with alone_in(run):
        files.clear(run / network)
        yield


def _worked(job: Job, data: Data, tell: Tell, progress: Progress) -> Trained:
    run = Run.open(job.folder, job.card)
    if not job.resume and (job.folder / job.network / checkpoint.FILE).is_file():
        raise UsageError(
            f"{job.folder} holds a training of {job.network}: give --resume to go on with it, or another -o to start anew."
        )
    make = {"segmentation": tasks.segmentation, "nodule": tasks.nodule, "malignancy": tasks.malignancy}[job.network]
    task = make(run, data, job.seed)
    card = hashlib.sha256(run.card.to_json().encode()).hexdigest()[:12]
    plan = job.plan({"card": card, "data": data.digest, "start": task.of})
    folder = run.begin(job.network)
    board = Board(folder / "tensorboard")

    def both(told: Told) -> None:
        board(told)
        tell(told)

    try:
        trained = train(task.module, task.sampler, task.loss, plan, folder, task.validate, both)
    finally:
        board.close()
    if devices.rank() == 0:
        facts = {
            "step": trained.step,
            "figures": _rounded(dict(trained.history)[trained.step]),
            "best_by": task.validate.best_by,
            "learned_from": task.learned_from,
            "trained_on": sorted({entry.series for entry in data.training}),
            "validated_on": sorted({entry.series for entry in data.validation}),
            "command": job.command(plan.steps),
        }
        run.keep(job.network, arrays(trained.network), facts)
        path = run.write_weights()
        if path is not None:
            calibrate(path, job.cache, progress)
    return trained


def _rounded(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By set, to four digits: what a card shows."""
    out: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        of, _, figure = name.partition("/")
        out.setdefault(of, {})[figure] = round(value, 4)
    return out
