"""A weights file judged on scans with known truth: look at each, compare, draw, and count."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from lungscan import __version__, files
from lungscan.errors import InputRefused, LungscanError
from lungscan.evaluation.cases import Opened, Source
from lungscan.evaluation.curves import write_curves
from lungscan.evaluation.judged import Judged, judged
from lungscan.evaluation.model import Figures, judge
from lungscan.evaluation.pictures import write_pictures
from lungscan.findings import Candidate, WeightsFacts
from lungscan.pipeline import Networks
from lungscan.stages import Progress, silent
from lungscan.stages.classify import classify
from lungscan.stages.group import group
from lungscan.stages.segment import Heatmap, segment
from lungscan.training.prepare import Skipped

SCHEMA = "lungscan-evaluation/1"


@dataclass(frozen=True)
class Evaluation:
    """Figures with what they rest on. `trained_on` names the scans left out because the networks learned from them."""

    schema: str
    version: str
    weights: WeightsFacts
    engine: str
    precision: str
    source: str
    trained_on: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    figures: Figures

    def to_json(self) -> str:
        return to_json(self)


def evaluate(
    source: Source,
    networks: Networks,
    *,
    include_trained: bool = False,
    pictures: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Judge the networks at their card's thresholds on the scans that they did not learn from.

    pictures : an existing folder for overlay pictures of every nodule and of the worst false positives

    A scan that cannot be read is in `skipped` and nowhere else. Raises InputRefused when no scan is left, or none with a
    nodule.
    """
    card = networks.weights.card
    trained = [case.name for case in source.cases if case.series in card.trained_on]
    left = [case for case in source.cases if include_trained or case.name not in trained]
    if not left:
        raise InputRefused(
            f"{card.name} was trained on every one of the {len(trained)} scans asked for in {source.name}, so they "
            "tell nothing of it; give scans that it never saw, or count these with --include-trained."
        )
    flattering = f"{card.name} was trained on {len(trained)} of these scans: the figures flatter it."
    scans: list[Judged] = []
    skipped: list[Skipped] = []
    for done, case in enumerate(left):
        progress("scans", done, len(left))
        try:
            opened = case.open()
        except LungscanError as error:
            skipped.append(Skipped(case.name, str(error)))
            continue
        heatmap, candidates = look(opened, networks)
        scans.append(judged(case, opened, heatmap, candidates, card.thresholds))
        if pictures is not None:
            write_pictures(scans[-1], opened, heatmap, card, pictures)
    progress("scans", len(left), len(left))
    if not scans:
        raise InputRefused(f"not one of {len(left)} scans could be read; the first: {skipped[0].name}: {skipped[0].reason}")
    return Evaluation(
        schema=SCHEMA,
        version=__version__,
        weights=WeightsFacts(card.name, networks.weights.sha256),
        engine=f"{networks.segmentation.name} {networks.segmentation.version}",
        precision=networks.segmentation.precision,
        source=source.name,
        trained_on=() if include_trained else tuple(trained),
        skipped=tuple(skipped),
        warnings=(*source.warnings, *((flattering,) if include_trained and trained else ())),
        figures=judge(scans, card.thresholds, card.label_rule),
    )


def write(result: Evaluation, folder: Path) -> None:
    """evaluation.json and the curves, into an existing folder."""
    files.write_text(folder / "evaluation.json", result.to_json() + "\n")
    write_curves(result.figures, folder)


def look(opened: Opened, networks: Networks) -> tuple[Heatmap, list[Candidate]]:
    """The stages from segment to classify at the card's own threshold of the segmentation; every candidate is classified,
    by the malignancy network too."""
    card = networks.weights.card
    heatmap = segment(opened.volume, opened.lungs, card, networks.segmentation)
    found = group(heatmap, opened.volume, opened.lungs, card, card.thresholds.segmentation)
    found = classify(found, opened.volume, card, networks.nodule, networks.malignancy, threshold_nodule=0.0)
    return heatmap, found.rows()


def to_json(figures: Figures | Evaluation) -> str:
    """ASCII JSON; what is not finite becomes null."""
    return json.dumps(_plain(figures), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
