"""The card: what a weights file says of its networks. JSON in the metadata of the safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lungscan.errors import WeightsRefused
from lungscan.findings import Thresholds
from lungscan.malignancy_rules import RULES

FORMAT = "lungscan-weights/1"
CLEANUPS = ("erosion", "none")


@dataclass(frozen=True)
class InputCard:
    """How voxels reach the networks.

    window_hu      : HU are clipped to these two values; the networks' first norm scales them
    spacing_irc_mm : grid the scan is resampled to, None for the scan's own
    context_slices : slices on either side of the focus slice
    crop_irc       : voxels of a candidate's crop
    """

    window_hu: tuple[int, int]
    spacing_irc_mm: tuple[float, float, float] | None
    context_slices: int
    crop_irc: tuple[int, int, int]


@dataclass(frozen=True)
class UNetCard:
    depth: int
    width: int


@dataclass(frozen=True)
class Cnn3dCard:
    widths: tuple[int, ...]


@dataclass(frozen=True)
class GroupingCard:
    """cleanup: "erosion" takes one voxel off every face (6 neighbours, the volume's border counts as background), as the
    book does; "none" keeps thin nodules. Components under minimum_mm3 are dropped. connectivity: 6, 18 or 26."""

    cleanup: str
    connectivity: int
    minimum_mm3: float


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
            ),
            segmentation=UNetCard(**{k: int(v) for k, v in raw["segmentation"].items()}),
            nodule=_cnn(raw["nodule"]),
            malignancy=None if raw["malignancy"] is None else _cnn(raw["malignancy"]),
            grouping=GroupingCard(**raw["grouping"]),
            thresholds=Thresholds(**{k: float(v) for k, v in raw["thresholds"].items()}),
            label_rule=str(raw["label_rule"]),
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
        and (card.input.spacing_irc_mm is None or all(0.2 <= mm <= 10 for mm in card.input.spacing_irc_mm))
        and 1 <= card.segmentation.depth <= 6
        and 1 <= card.segmentation.width <= 256
        and card.grouping.cleanup in CLEANUPS
        and card.grouping.connectivity in (6, 18, 26)
        and card.grouping.minimum_mm3 >= 0
        and all(0 < t < 1 for t in asdict(card.thresholds).values())
        and card.label_rule in RULES
    )
    if not sane:
        raise WeightsRefused(f"the card of {card.name!r} holds a value out of bounds; the file was not made by lungscan.")


def _cnn(raw: dict[str, Any]) -> Cnn3dCard:
    return Cnn3dCard(widths=tuple(int(w) for w in raw["widths"]))


def _two(values: Any) -> tuple[int, int]:
    low, high = values
    return int(low), int(high)


def _three(values: Any, kind: Any) -> Any:
    a, b, c = values
    return kind(a), kind(b), kind(c)
