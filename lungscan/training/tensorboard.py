"""What a training tells, for TensorBoard: scalars, histograms of weights, ROC and PR curves, overlay pictures."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lungscan import files
from lungscan.errors import EngineUnavailable
from lungscan.evaluation.roc import roc
from lungscan.training.loop import Told

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard.writer import SummaryWriter

    from lungscan.training.metrics import Floats, Mask


def need_tensorboard() -> None:
    """Raises EngineUnavailable without it."""
    for name in ("tensorboard", "matplotlib"):
        if find_spec(name) is None:
            raise EngineUnavailable(f"training needs {name}, which is not installed: pip install 'lungscan-ct[train]'.")


class Board:
    """Writes what it is told into a folder. A training that goes on replaces what was written after its checkpoint.

    Raises NotWritten as soon as TensorBoard's own thread could not write: events are appended, and may end in half of one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def __call__(self, told: Told) -> None:
        if self.writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            with files.writing(self.folder):
                self.writer = SummaryWriter(str(self.folder), purge_step=told.step)
        with files.writing(self.folder):
            self._write(self.writer, told)

    def close(self) -> None:
        if self.writer is not None:
            with files.writing(self.folder):
                self.writer.close()

    def _write(self, to: SummaryWriter, told: Told) -> None:
        to.add_scalar("loss", told.loss, told.step)
        to.add_scalar("rate", told.rate, told.step)
        found = told.validation
        if found is None:
            return
        for name, value in found.figures.items():
            to.add_scalar("/".join(reversed(name.split("/"))), value, told.step)  # both sets side by side
        for name, (score, truth) in found.curves.items():
            if truth.any() and not truth.all():
                to.add_pr_curve(f"PR/{name}", truth, score, told.step)
                to.add_figure(f"ROC/{name}", _roc(score, truth), told.step)
        for name, picture in found.pictures.items():
            to.add_image(name, picture, told.step, dataformats="HWC")
        for name, weight in told.network.named_parameters():
            to.add_histogram(name, weight, told.step)
        to.flush()


def _roc(score: Floats, truth: Mask) -> Figure:
    from matplotlib.figure import Figure

    curve = roc(score, truth)
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":")
    axes.plot(curve.false_positive_rate, curve.true_positive_rate)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
    return figure
