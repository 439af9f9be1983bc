"""FROC, ROC and reliability as pictures. Drawn by matplotlib, which is imported here alone and opens no window."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungscan import files
from lungscan.errors import EngineUnavailable
from lungscan.evaluation.bootstrap import Estimate
from lungscan.evaluation.discrimination import Discrimination
from lungscan.evaluation.froc import RATES
from lungscan.evaluation.model import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_INCH, DPI = 5.0, 120
OURS, OTHERS, GREY = "#0b6e99", ("#c8553d", "#e0a030"), "#888888"
LEGEND: dict[str, Any] = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "none"}


def need_matplotlib() -> None:
    """Raises EngineUnavailable without it."""
    if find_spec("matplotlib") is None:
        raise EngineUnavailable(
            "-o draws curves by matplotlib, which is not installed: pip install 'lungscan-ct[train]', or leave -o out."
        )


def write_curves(figures: Figures, folder: Path) -> None:
    """froc.png, roc.png and reliability.png in an existing folder; the last two only where there is such a curve."""
    sheet = _sheet(1)
    _froc(sheet.subplots(), figures)
    _save(sheet, folder / "froc.png")
    told = {"P(nodule)": figures.nodule, "P(malignant)": figures.malignancy}
    shown = [(name, one) for name, one in told.items() if one is not None]
    if not shown:
        return
    for file, draw in (("roc.png", _roc), ("reliability.png", _reliability)):
        sheet = _sheet(len(shown))
        for axes, (name, one) in zip(sheet.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            draw(axes, name, one)
        _save(sheet, folder / file)


def _sheet(panels: int) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(PANEL_INCH * panels, PANEL_INCH), dpi=DPI, layout="constrained")


def _save(sheet: Figure, path: Path) -> None:
    for axes in sheet.axes:
        axes.grid(color="#e4e4e4", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    sheet.savefig(out, format="png", metadata={"Software": None})
    files.write_bytes(path, out.getvalue())


def _froc(axes: Axes, figures: Figures) -> None:
    froc, at = figures.froc, figures.operating
    low, high = zip(*froc.intervals, strict=True)
    axes.fill_between(froc.rates, low, high, color=OURS, alpha=0.15, linewidth=0, label="95 %, scans drawn anew")
    cpm = f"CPM {_words(Estimate(froc.cpm, froc.cpm_interval))}"
    axes.plot(froc.rates, froc.sensitivities, "o-", color=OURS, markersize=4, label=cpm, clip_on=False)
    rate = at.fp_per_scan.value
    card = f"{at.found} of {at.nodules} at {rate:.2g} a scan: the card's threshold"
    beside = np.clip(rate, RATES[0], RATES[-1])  # at the border where it lies beyond
    axes.plot(beside, at.sensitivity.value, "D", color=OTHERS[0], label=card, clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_xticks(froc.rates, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(RATES[0], RATES[-1])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false positives a scan")
    axes.set_ylabel("sensitivity")
    axes.set_title(f"FROC: {at.nodules} nodules in {figures.scans} scans")
    axes.legend(loc="best", **LEGEND)


def _roc(axes: Axes, name: str, one: Discrimination) -> None:
    lines = [(name, one.auc, one.curve, OURS, 2.0)]
    lines += [(b.name, b.auc, b.curve, colour, 1.3) for b, colour in zip(one.beside, OTHERS, strict=False)]
    _diagonal(axes)
    for said, area, curve, colour, width in reversed(lines):
        label = f"{said}: {_words(area)}"
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=colour, linewidth=width, label=label)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(f"ROC and area, {name}: {one.positives} against {one.negatives}")
    axes.legend(loc="lower right", reverse=True, **LEGEND)


def _reliability(axes: Axes, name: str, one: Discrimination) -> None:
    """Each bin's point has the count of its candidates beside it, and an area that grows with it."""
    curve = one.reliability
    _diagonal(axes)
    axes.plot(curve.mean_probability, curve.share_positive, color=OURS, linewidth=1.3)
    axes.scatter(curve.mean_probability, curve.share_positive, 12 + 90 * curve.count / curve.count.max(), color=OURS)
    for x, y, count in zip(curve.mean_probability, curve.share_positive, curve.count, strict=True):
        offset, side = ((0, 8), "bottom") if y < 0.1 else ((0, -8), "top")
        axes.annotate(str(count), (x, y), offset, textcoords="offset points", ha="center", va=side, fontsize=8, color=GREY)
    axes.set_xlabel(f"{name}, mean of a bin")
    axes.set_ylabel("share that is")
    axes.set_title(f"{name}: Brier {one.brier:.3f} (always their share: {one.brier_of_share:.3f})")


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def _words(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{estimate.value:.3f} [{low:.3f}, {high:.3f}]"
