"""A weights file's card in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungscan.malignancy_rules import RULES
from lungscan.report.text import harmless
from lungscan.weights import Weights
from lungscan.weights.card import Calibration, Card, Cnn3dCard

ONE_LINE = 70
"""Characters of a group of figures that still stand in one line."""

MOST_NAMES = 20
LONGEST = 2000


def show(weights: Weights, console: Console | None = None) -> None:
    """Two columns: what is said, and what it says."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (*_networks(weights.card), ("sha256", weights.sha256), *_about(weights.card)):
        table.add_row(Text(name), value if isinstance(value, Table) else Text(value))
    (console or Console()).print(table)


def _networks(card: Card) -> Iterator[tuple[str, str | Table]]:
    """What the pipeline uses."""
    inputs, unet, grouping = card.input, card.segmentation, card.grouping
    low, high = inputs.window_hu
    grid = "the scan's own grid"
    if inputs.spacing_irc_mm is not None:
        grid = f"resampled to {_size(inputs.spacing_irc_mm)} mm (slice, row, column)"
    yield "name", harmless(card.name)
    yield "input", f"{low} to {high} HU, {grid}"
    slices = 2 * inputs.context_slices + 1
    yield "segmentation", f"U-Net on {slices} slices, depth {unet.depth}, width {unet.width}, {unet.stem} stem"
    yield "nodule", _cnn(card, card.nodule)
    yield "malignancy", "none" if card.malignancy is None else _cnn(card, card.malignancy)
    least = f"at least {grouping.minimum_mm3:g} mm3" if grouping.minimum_mm3 else "any size"
    sized = f", measured over {100 * grouping.outline:g} % of the peak" if grouping.outline else ""
    yield "grouping", f"{grouping.connectivity} neighbours, {least}, clean-up {grouping.cleanup}{sized}"
    t = card.thresholds
    yield "thresholds", f"segmentation {t.segmentation:g}, nodule {t.nodule:g}, malignancy {t.malignancy:g}"
    yield "P(nodule)", _calibrated(card.nodule_calibration)
    if card.malignancy is not None:
        yield "P(malignant)", _calibrated(card.malignancy_calibration)
        yield "labels", f"{card.label_rule}: {RULES[card.label_rule].sentence}"
    yield "in validation", _points(card) if card.operating_points else "no operating points: --fp-per-scan cannot be used"
    yield "trained on", f"{len(card.trained_on)} series (their hashes: --json)" if card.trained_on else "no series are named"


def _cnn(card: Card, cnn: Cnn3dCard) -> str:
    scales = " and ".join(f"{scale} x" for scale in card.input.crop_scales)
    shown = "" if card.input.crop_scales == (1,) else f" at {scales}"
    return f"3-D CNN on crops of {_size(card.input.crop_irc)} voxels{shown}, widths {' '.join(map(str, cnn.widths))}"


def _calibrated(calibration: Calibration | None) -> str:
    """The formula of `Calibration`, without the parts that are zero."""
    if calibration is None:
        return "not calibrated: the network's own score"
    parts = (
        (calibration.network, " logit(network)"),
        (calibration.peak, " logit(peak)"),
        (calibration.size, " ln(diameter / 10 mm)"),
        (calibration.offset, ""),
    )
    line = " ".join(f"{'-' if factor < 0 else '+'} {abs(factor):.3g}{of}" for factor, of in parts if factor)
    head = "calibrated on patients not trained on; peak: the segmentation's highest P there"
    return f"{head}\nlogit P = {line.removeprefix('+ ') or '0'}"


def _points(card: Card) -> Table:
    """A line an operating point."""
    table = Table.grid(padding=(0, 3))
    for _ in range(3):
        table.add_column(justify="right")
    table.add_row("false positives a scan", "nodules found", "P(nodule) at least", style="dim")
    for point in card.operating_points:
        table.add_row(f"{point.fp_per_scan:.3g}", f"{100 * point.sensitivity:.1f} %", f"{point.threshold_nodule:.4f}")
    return table


def _about(card: Card) -> Iterator[tuple[str, str]]:
    """What a reader should know of their making."""
    for key, value in card.about.items():
        yield harmless(key.replace("_", " ")), "\n".join(harmless(line, LONGEST) for line in _words(value).split("\n"))


def _words(value: Any, key: str = "") -> str:
    """Figures and texts as they are read: short groups in one line, others a line each."""
    if isinstance(value, dict):
        parts = {name.replace("_", " "): _words(inner, name) for name, inner in value.items()}
        line = ", ".join(f"{name} {words}" for name, words in parts.items())
        nested = any(isinstance(inner, dict) for inner in value.values())
        if not nested and len(line) <= ONE_LINE and "\n" not in line:
            return line
        return "\n".join(f"{name}: {words}".replace("\n", "\n  ") for name, words in parts.items())
    if isinstance(value, list | tuple):
        texts = [_words(inner) for inner in value]
        if "interval" in key and len(texts) == 2:
            return f"{texts[0]} to {texts[1]}"
        if any(" " in text or "\n" in text for text in texts):
            return "\n".join(texts)
        more = f" and {len(texts) - MOST_NAMES} more (--json)" if len(texts) > MOST_NAMES else ""
        return " ".join(texts[:MOST_NAMES]) + more
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _size(sides: tuple[float, ...]) -> str:
    return " x ".join(f"{side:g}" for side in sides)
