"""Classification: the crop that each candidate gets, and the card's calibration of what the networks say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from lungscan.stages.candidates import Candidates
from lungscan.stages.classify import classify
from lungscan.weights.card import Calibration
from tests.support import small_card, volume


class Density:
    """Says the crop's middle density in thousandths, and remembers the shapes that it saw."""

    name = version = precision = device = ""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            self.shapes.append(batch.shape)
            i, r, c = (n // 2 for n in batch.shape[2:])
            yield batch[:, 0, i, r, c] / 1000


def scan() -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    hu = np.full((40, 60, 60), -900, np.int16)
    places = [(20, 30, 30), (12, 20, 40)]
    for place, value in zip(places, (300, 100), strict=True):
        hu[place] = value
    return hu, places


def candidates(places: list[tuple[int, int, int]]) -> Candidates:
    """One voxel each."""
    centre = np.array(places, np.float64).reshape(-1, 3)
    ones, rows = np.ones(len(centre)), np.arange(len(centre))
    return Candidates(
        grid=volume(scan()[0]).grid,
        count=len(centre),
        lost=0,
        centre_irc=centre,
        low=centre,
        high=centre + 1,
        voxels=ones,
        hu_mean=ones,
        hu_max=ones,
        peak=np.float32(0.9) * ones,
        row=rows,
        p_nodule=np.nan * ones,
        p_malignant=np.nan * ones,
        core=rows,
        core_row=rows,
    )


def test_each_candidate_is_judged_by_the_crop_around_it() -> None:
    hu, places = scan()
    engine, card = Density(), replace(small_card(), malignancy=None)
    card = replace(card, input=replace(card.input, crop_scales=(1, 2)))
    found = classify(candidates(places), volume(hu), card, engine, None, 0.2).rows()
    assert [c.p_nodule for c in found] == pytest.approx([0.3, 0.1])
    assert engine.shapes == [(2, 2, *card.input.crop_irc)]


def test_what_is_shown_is_calibrated_and_the_threshold_is_of_what_is_shown() -> None:
    """Odds 3/7 and 1/9 doubled are 6/7 and 2/9: probabilities of 6/13 and 2/11."""
    hu, places = scan()
    doubled = Calibration(1.0, 0.0, 0.0, float(np.log(2)))
    card = replace(small_card(), nodule_calibration=doubled, malignancy_calibration=doubled)
    found = classify(candidates(places), volume(hu), card, Density(), Density(), 0.45).rows()
    assert [c.p_nodule for c in found] == pytest.approx([6 / 13, 2 / 11])
    assert [c.p_malignant for c in found] == [pytest.approx(6 / 13), None]  # the second is under the threshold


def test_no_candidates() -> None:
    assert classify(candidates([]), volume(scan()[0]), small_card(), Density(), None, 0.5).rows() == []
