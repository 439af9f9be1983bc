"""One run folder: networks trained one after the other by one card, and the weights file that they make together.

    RUN/card.json                       the card that they are all trained by
    RUN/<network>/checkpoint.safetensors, tensorboard/, and for the classifiers their crops (.npz)
    RUN/<network>/network.safetensors   the result, with its figures as JSON in the metadata
    RUN/weights.safetensors             as soon as segmentation and nodule are there

A whole training is `train segmentation`, `train nodule`, `train malignancy`; each goes on by itself after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from lungscan import files, weights
from lungscan.errors import UsageError, WeightsRefused
from lungscan.weights import Tensors
from lungscan.weights.card import Card, parse

CARD, NETWORK, WEIGHTS = "card.json", "network.safetensors", "weights.safetensors"
NETWORKS = ("segmentation", "nodule", "malignancy")

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """`card` holds what is known before training: shapes, input, grouping, thresholds, the label rule."""

    folder: Path
    card: Card

    @classmethod
    def open(cls, folder: Path, given: Path | None = None) -> Run:
        """The run in a folder, made with the card `given` or that of the shipped weights when it is new.

        Raises UsageError when it is not new and has another card, or when the card given cannot be read.
        """
        held = folder / CARD
        card = None if given is None else _read(given)
        if held.is_file():
            theirs = parse(held.read_text(encoding="utf-8"))
            if card is not None and card != theirs:
                raise UsageError(f"{folder} was begun with another card than {given}; leave --card out, or give another -o.")
            return cls(folder, theirs)
        if card is None:
            card = replace(_bare(weights.load(weights.shipped()).card), name=folder.resolve().name)
        return cls(folder, card)

    def begin(self, network: str) -> Path:
        """Make the network's folder, and write the card where it is not there yet."""
        part = self.folder / network
        files.make_folder(part)
        if not (self.folder / CARD).is_file():
            files.write_text(self.folder / CARD, self.card.to_json() + "\n")
        return part

    def has(self, network: str) -> bool:
        return (self.folder / network / NETWORK).is_file()

    def keep(self, network: str, tensors: Tensors, facts: Facts) -> None:
        files.write_bytes(self.folder / network / NETWORK, serialise(tensors, metadata={"facts": json.dumps(facts)}))

    def trained(self, network: str) -> tuple[Tensors, dict[str, Any]]:
        """A network's tensors and facts. Raises UsageError when it is not trained yet."""
        path = self.folder / network / NETWORK
        if not path.is_file():
            raise UsageError(
                f"{self.folder} holds no trained {network} network; run `lungscan train {network} --cache DIR -o "
                f"{self.folder}` first."
            )
        try:
            with safe_open(path, framework="numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
                return tensors, json.loads(file.metadata()["facts"])
        except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
            raise WeightsRefused(f"{path} cannot be read ({error}); remove {path.parent} and train again.") from error

    def write_weights(self) -> Path | None:
        """Write the weights file of what is trained; None while segmentation or nodule is missing."""
        if not (self.has("segmentation") and self.has("nodule")):
            return None
        parts = {network: self.trained(network) for network in NETWORKS if self.has(network)}
        card = replace(
            self.card,
            malignancy=self.card.malignancy if "malignancy" in parts else None,
            trained_on=tuple(sorted({series for _, facts in parts.values() for series in facts["trained_on"]})),
            about=_about({network: facts for network, (_, facts) in parts.items()}),
        )
        path = self.folder / WEIGHTS
        weights.save(path, card, {network: tensors for network, (tensors, _) in parts.items()})
        return path


def _about(facts: Mapping[str, Facts]) -> dict[str, Any]:
    return {
        "training": {network: f["learned_from"] for network, f in facts.items()},
        "split": "Between patients, as the cache's split.json says.",
        "validated_on": sorted({series for f in facts.values() for series in f["validated_on"]}),
        "measured": {network: {"best_by": f["best_by"], "step": f["step"], **f["figures"]} for network, f in facts.items()},
        "measured_how": "On validation patients, which also chose the step and calibrate: a little flattering.",
        "command": [f["command"] for f in facts.values()],
    }


def _read(path: Path) -> Card:
    if not path.is_file():
        raise UsageError(f"--card {path}: there is no such file.")
    try:
        return _bare(parse(path.read_text(encoding="utf-8")))
    except (WeightsRefused, UnicodeDecodeError) as error:
        raise UsageError(f"--card {path} cannot be used: {error}") from error


def _bare(card: Card) -> Card:
    """The card without what training or validation found out."""
    return replace(card, nodule_calibration=None, malignancy_calibration=None, operating_points=(), trained_on=(), about={})
