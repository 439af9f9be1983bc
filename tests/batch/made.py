"""Small chests that a scan takes a fraction of a second for: a body, two lungs, one ball in a lung, noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lungscan import weights
from lungscan.phantom import writers
from lungscan.volume import Grid, Source, Volume
from tests.support import random_networks, small_card

SHAPE, SPACING_IRC_MM = (24, 140, 140), (5.0, 1.5, 1.5)
MARKS = ["--threshold-segmentation", "0.3", "--threshold-nodule", "0", "--precision", "fp32"]
"""So low that networks that learned nothing mark something in every chest."""


def chest(seed: int) -> Volume:
    i, y, x = (
        (np.arange(n) - (n - 1) / 2).reshape(shape) * step
        for n, step, shape in zip(SHAPE, SPACING_IRC_MM, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    )
    rng = np.random.default_rng(seed)
    hu = np.full(SHAPE, -1000.0)
    hu[np.broadcast_to((x / 100) ** 2 + (y / 75) ** 2 < 1, SHAPE)] = 40
    for side in (-1, 1):
        hu[((x - side * 45) / 35) ** 2 + (y / 55) ** 2 + (i / 52) ** 2 < 1] = -850
    hu[(x - 45) ** 2 + (y - seed) ** 2 + i**2 < 12**2] = 30
    hu += rng.normal(0, 20, SHAPE)
    grid = Grid(SHAPE, SPACING_IRC_MM, (-105.0, -105.0, -60.0), np.eye(3))
    return Volume(hu.astype(np.int16), grid, Source("", "metaio", f"1.2.{seed}"))


def write_chests(folder: Path, count: int, kind: str = "mhd") -> list[Path]:
    """Chest k lies in the folder Pk."""
    made = []
    for k in range(count):
        (folder / f"P{k}").mkdir(parents=True)
        made.append(writers.write(chest(k), folder / f"P{k}", kind))
    return made


def write_weights(path: Path) -> Path:
    weights.save(path, small_card(), random_networks(small_card()))
    return path


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a batch's folder, by its path; of reports all but their times."""
    out: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        out[name] = path.read_bytes()
        if path.name == "report.json":
            out[name] = {key: value for key, value in json.loads(out[name]).items() if key not in ("created", "timing_s")}
    return out
