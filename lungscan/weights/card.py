"""The card: what a weights file says of its networks. JSON in the metadata of the safetensors file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lungscan.errors import WeightsRefused
from lungscan.findings import Thresholds
from lungscan.malignancy_rules import RULES

FORMAT = "lungscan-weights/2"
SURE = 1e-7
"""Probabilities count as at least so far from 0 and 1, where the logit is infinite."""

CLEANUPS = ("erosion", "none")
STEMS = ("full", "half")
BORDERS = ("shift", "repeat")


@dataclass(frozen=True)
class InputCard:
    """How voxels reach the networks.

    window_hu      : HU are clipped to these two values; the networks' first norm scales them
    spacing_irc_mm : grid the scan is resampled to, None for the scan's own
    context_slices : slices on either side of the focus slice
    crop_irc       : voxels of a candidate's crop
    crop_border    : what a crop does at the volume's border, as in `lungscan.kernels.crop`
    crop_scales    : the classifiers' channels: the crop as it is (1), and as many voxels that are so many times as wide
    """

    window_hu: tuple[int, int]
    spacing_irc_mm: tuple[float, float, float] | None
    context_slices: int
    crop_irc: tuple[int, int, int]
    crop_scales: tuple[int, ...] = (1,)
    crop_border: str = "shift"


@dataclass(frozen=True)
class UNetCard:
    """stem: "full" convolves every pixel; "half" folds each square of 2 x 2 pixels into channels first and unfolds the
    result last, which quarters the work of every level and doubles what a pixel sees."""

    depth: int
    width: int
    stem: str = "full"


@dataclass(frozen=True)
class Cnn3dCard:
    widths: tuple[int, ...]


@dataclass(frozen=True)
class GroupingCard:
    """cleanup: "erosion" takes one voxel off every face (6 neighbours, the volume's border counts as background), as the
    book does; "none" keeps thin nodules. Components under minimum_mm3 are dropped. connectivity: 6, 18 or 26. Size,
    centre and density of a candidate are those of its voxels that reach this share of its highest probability, `outline`,
    which is chosen for true sizes; 0 takes all of them."""

    cleanup: str
    connectivity: int
    minimum_mm3: float
    outline: float


@dataclass(frozen=True)
class Calibration:
    """From what a classifier says to a probability, fitted on patients that the networks had not seen:

    P = 1 / (1 + exp(-(network * logit(p) + peak * logit(p_segmentation) + size * ln(diameter / 10 mm) + offset)))
    """

    network: float
    peak: float
    size: float
    offset: float

    def __call__(self, p: Any, p_segmentation: Any, diameter_mm: Any) -> Any:
        """Of numbers, or of arrays (n,) on the host or on a GPU."""
        size = np.log(np.maximum(diameter_mm, 1.0) / 10)
        line = self.network * _logit(p) + self.peak * _logit(p_segmentation) + self.size * size + self.offset
        return 1 / (1 + np.exp(-np.clip(line, -50.0, 50.0)))


@dataclass(frozen=True)
class OperatingPoint:
    """What validation found at a threshold: so many false positives a scan, and this share of the nodules."""

    fp_per_scan: float
    threshold_nodule: float
    sensitivity: float


@dataclass(frozen=True)
class Card:
    """Everything the pipeline needs to know of its networks, and what a reader should know of their making."""

    name: str
    input: InputCard
    segmentation: UNetCard
    nodule: Cnn3dCard
    malignancy: Cnn3dCard | None
    grouping: GroupingCard
    thresholds: Thresholds
    label_rule: str
    nodule_calibration: Calibration | None = None  # None: the network's own probability
    malignancy_calibration: Calibration | None = None
    operating_points: tuple[OperatingPoint, ...] = ()  # by false positives, the fewest first
    trained_on: tuple[str, ...] = ()  # hashes of the series, `lungscan.volume.series_hash`
    about: dict[str, Any] = field(default_factory=dict)  # training, split, figures, licence, known failures, command

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)


def parse(text: str) -> Card:
    """Card from its JSON. Raises WeightsRefused when a key is missing, of the wrong kind or out of bounds."""
    try:
        raw = json.loads(text)
        if raw.pop("format") != FORMAT:
            raise WeightsRefused(f"the card's format is not {FORMAT}; this version of lungscan cannot read it.")
        inputs = raw["input"]
        spacing = inputs["spacing_irc_mm"]
        card = Card(
            name=str(raw["name"]),
            input=InputCard(
                window_hu=_two(inputs["window_hu"]),
                spacing_irc_mm=None if spacing is None else _three(spacing, float),
                context_slices=int(inputs["context_slices"]),
                crop_irc=_three(inputs["crop_irc"], int),
                crop_scales=tuple(int(scale) for scale in inputs["crop_scales"]),
                crop_border=str(inputs["crop_border"]),
            ),
            segmentation=_unet(**raw["segmentation"]),
            nodule=_cnn(raw["nodule"]),
            malignancy=None if raw["malignancy"] is None else _cnn(raw["malignancy"]),
            grouping=GroupingCard(**raw["grouping"]),
            thresholds=Thresholds(**_floats(raw["thresholds"])),
            label_rule=str(raw["label_rule"]),
            nodule_calibration=_calibration(raw["nodule_calibration"]),
            malignancy_calibration=_calibration(raw["malignancy_calibration"]),
            operating_points=tuple(OperatingPoint(**_floats(point)) for point in raw["operating_points"]),
            trained_on=tuple(str(series) for series in raw["trained_on"]),
            about=dict(raw["about"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsRefused(f"the card in the weights is not one of lungscan ({error!r}).") from error
    _check(card)
    return card


def _check(card: Card) -> None:
    sane = (
        -2048 <= card.input.window_hu[0] < card.input.window_hu[1] <= 4096
        and 0 <= card.input.context_slices <= 8
        and all(4 <= n <= 128 for n in card.input.crop_irc)
        and 1 <= len(card.input.crop_scales) <= 4
        and all(1 <= scale <= 4 for scale in card.input.crop_scales)
        and card.input.crop_border in BORDERS
        and (card.input.spacing_irc_mm is None or all(0.2 <= mm <= 10 for mm in card.input.spacing_irc_mm))
        and 1 <= card.segmentation.depth <= 6
        and 1 <= card.segmentation.width <= 256
        and card.segmentation.stem in STEMS
        and card.grouping.cleanup in CLEANUPS
        and card.grouping.connectivity in (6, 18, 26)
        and card.grouping.minimum_mm3 >= 0
        and 0 <= card.grouping.outline < 1
        and all(0 < t < 1 for t in asdict(card.thresholds).values())
        and card.label_rule in RULES
    )
    if not sane:
        raise WeightsRefused(f"the card of {card.name!r} holds a value out of bounds; the file was not made by lungscan.")


def _cnn(raw: dict[str, Any]) -> Cnn3dCard:
    return Cnn3dCard(widths=tuple(int(w) for w in raw["widths"]))


def _unet(depth: Any, width: Any, stem: Any) -> UNetCard:
    return UNetCard(int(depth), int(width), str(stem))


def _calibration(raw: dict[str, Any] | None) -> Calibration | None:
    return None if raw is None else Calibration(**_floats(raw))


def _floats(raw: dict[str, Any]) -> dict[str, float]:
    if not all(math.isfinite(float(value)) for value in raw.values()):
        raise ValueError("a number that is not finite")
    return {key: float(value) for key, value in raw.items()}


def _logit(p: Any) -> Any:
    p = np.clip(p, SURE, 1 - SURE)
    return np.log(p / (1 - p))


def _two(values: Any) -> tuple[int, int]:
    low, high = values
    return int(low), int(high)


def _three(values: Any, kind: Any) -> Any:
    a, b, c = values
    return kind(a), kind(b), kind(c)
