"""The book's networks on two LIDC scans against the tables of the book's own pipeline, candidate by candidate."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from lungscan.pipeline import scan
from lungscan.settings import Settings
from lungscan.weights.book import import_checkpoints


@pytest.fixture(scope="session")
def book_weights(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book's checkpoints as a weights file."""
    (segmentation,), (nodule,) = data.glob("book/seg_*.state"), data.glob("book/cls_*.state")
    output = tmp_path_factory.mktemp("book") / "book.safetensors"
    import_checkpoints(segmentation, nodule, None, output)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_candidates_are_the_books(data: Path, book_weights: Path, name: str) -> None:
    settings = Settings(weights=book_weights, precision="fp32", lung_gate=False)
    report = scan(data / "lidc" / f"{name}.zip", settings)
    book = json.loads((data / "book" / f"reference_{name}.json").read_text())
    assert report.candidates.total == pytest.approx(book["candidates"], abs=3)
    assert len(report.nodules) == pytest.approx(book["over_half"], abs=1)
    ours = np.array([[*n.centre_irc, n.p_nodule] for n in report.candidates.all])
    theirs = np.array([[i, r, c, p] for i, r, c, *_, p in book["rows"]])
    nearest = np.abs(ours[None, :, :3] - theirs[:, None, :3]).max(axis=2)
    place = nearest.argmin(axis=1)
    same = (nearest.min(axis=1) < 1) & (np.abs(ours[place, 3] - theirs[:, 3]) < 1e-3)
    assert same.mean() >= 0.99
    for row in csv.DictReader((data / "lidc" / f"{name}.luna16_annotations.csv").read_text().splitlines()):
        at = [float(row[key]) for key in ("coordX", "coordY", "coordZ")]
        assert min(math.dist(at, n.centre_xyz_mm) for n in report.nodules if n.p_nodule > 0.999) < 2
