"""An evaluation's figures in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lungscan.evaluation.bootstrap import Estimate, Interval
from lungscan.evaluation.discrimination import Discrimination
from lungscan.evaluation.froc import Froc
from lungscan.evaluation.model import Figures
from lungscan.evaluation.run import Evaluation
from lungscan.evaluation.sizes import EDGES_MM
from lungscan.report.text import harmless

SHOWN = 10


def show(result: Evaluation, console: Console) -> None:
    """The figures from the whole to the parts: counts, sizes, FROC, areas, diameters, misses."""
    figures = result.figures
    for text in _head(result):
        console.print(text, soft_wrap=True)
    for table in (_sizes(figures), froc_table(figures.froc), _areas(figures)):
        console.print(Padding(table, (1, 0, 0, 0), expand=False))
    console.print()
    for line in _lines(figures):
        console.print(Text(line), soft_wrap=True)


def froc_table(result: Froc) -> Table:
    table = _table("false positives a scan", "sensitivity", "95 % interval", "least score")
    rows = zip(result.rates, result.sensitivities, result.intervals, result.thresholds, strict=True)
    for rate, sensitivity, (low, high), score in rows:
        least = "-" if score is None else f"{score:.4f}"
        table.add_row(f"{rate:g}", f"{sensitivity:.4f}", f"{low:.3f} to {high:.3f}", least)
    return table


def _head(result: Evaluation) -> Iterator[Text]:
    figures, t, at = result.figures, result.figures.thresholds, result.figures.operating
    yield Text(
        f"{harmless(result.weights.name)} ({result.weights.sha256[:12]}), {result.engine}, {result.precision}", "bold"
    )
    yield Text(
        f"{figures.scans} scans of {figures.patients} patients, {at.nodules} nodules: {harmless(result.source, 1000)}"
    )
    if result.trained_on:
        yield Text(f"{len(result.trained_on)} left out, as the networks learned from them: {_some(result.trained_on)}")
    for skipped in result.skipped:
        yield Text(f"skipped {harmless(skipped.name)}: {harmless(skipped.reason, 500)}")
    for warning in result.warnings:
        yield Text(f"warning: {harmless(warning, 500)}", "yellow")
    yield Text(
        f"At the card's thresholds (segmentation {t.segmentation:g}, nodule {t.nodule:g}): "
        f"{at.found} of {at.nodules} nodules found, {_estimate(at.sensitivity)}; "
        f"{at.false_positives} false positives, {_estimate(at.fp_per_scan)} a scan",
        "bold",
    )


def _sizes(figures: Figures) -> Table:
    table = _table("size, mm", "nodules found", "false positives a scan")
    names = [f"{low:g} to {high:g}" for low, high in pairwise(EDGES_MM)]
    for name, row in zip(
        (f"under {EDGES_MM[1]:g}", *names[1:], f"{EDGES_MM[-1]:g} and over"), figures.operating.sizes, strict=True
    ):
        table.add_row(name, f"{row.found} of {row.nodules}", f"{row.false_positives / figures.scans:.2f}")
    return table


def _areas(figures: Figures) -> Table:
    table = _table("score", "area under the ROC", "network minus it")
    for name, one in _discriminations(figures):
        table.add_row(f"{name}, {one.positives} against {one.negatives}", _estimate(one.auc), "")
        for other in one.beside:
            table.add_row(other.name, _estimate(other.auc), _estimate(other.difference))
    return table


def _discriminations(figures: Figures) -> Iterator[tuple[str, Discrimination]]:
    if figures.nodule is not None:
        yield "P(nodule)", figures.nodule
    if figures.malignancy is not None:
        yield "P(malignant)", figures.malignancy


def _lines(figures: Figures) -> Iterator[str]:
    yield f"CPM {_estimate(Estimate(figures.froc.cpm, figures.froc.cpm_interval))}"
    if figures.malignancy is None:
        yield "malignancy: not judged, for want of malignant and benign nodules that are marked, rated and assessed"
    for name, one in _discriminations(figures):
        yield f"Brier score of {name}: {one.brier:.4f}; of always saying their share: {one.brier_of_share:.4f}"
    if figures.diameters is not None:
        d = figures.diameters
        yield (
            f"diameters of {d.nodules} found nodules: {_percent(d.median_absolute.value)} off (median), "
            f"bias {_percent(d.bias)}, limits of agreement {_percent(d.limits[0])} to {_percent(d.limits[1])}"
        )
    missed = [row for row in figures.nodules if not row.found]
    yield f"missed: {len(missed)}"
    for row in missed[:SHOWN]:
        place = ", ".join(f"{v:.1f}" for v in row.centre_xyz_mm)
        best = "" if row.p_nodule is None else f", best P(nodule) {row.p_nodule:.3f}"
        yield f"  {harmless(row.scan)}: {row.diameter_mm:.1f} mm at {place} mm, lost by {row.lost_by}{best}"
    if len(missed) > SHOWN:
        yield f"  and {len(missed) - SHOWN} more: --json lists them all"


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.justify = "right"
    return table


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(harmless(name) for name in names[:SHOWN]) + more


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({_interval(estimate.interval)})"


def _interval(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
