"""The gate changes no probability inside; slices are stacked as the book stacks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from lungscan.engines import Engine, open_engine

from lungscan.networks import graph
from lungscan.networks.unet import UNet
from lungscan.stages import segment as stage
from lungscan.stages.segment import segment
from lungscan.volume import Box, Grid
from lungscan.weights.card import Card
from tests.support import random_networks, small_card, volume

SHAPE = (21, 90, 107)


@dataclass(frozen=True)
class BoxOfLungs:
    """Lungs whose box in each slab is given."""

    whole: Box

    def box(self, _: Grid) -> Box:
        return self.whole

    def slab_box(self, _: Grid, start: int, stop: int) -> Box | None:
        (first, last), rows, columns = self.whole
        low, high = max(start, first), min(stop, last)
        return ((start, stop), (rows[0] + start % 5, rows[1]), columns) if low < high else None


@pytest.fixture(scope="module")
def card() -> Card:
    return small_card()


@pytest.fixture(scope="module")
def networks(card: Card) -> dict[str, dict[str, np.ndarray]]:
    return random_networks(card)


@pytest.fixture(scope="module")
def engine(card: Card, networks: dict[str, dict[str, np.ndarray]]) -> Engine:
    return open_engine(graph.segmentation(card, networks["segmentation"]), precision="fp32")


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return np.random.default_rng(5).integers(-1024, 600, SHAPE).astype(np.int16)


def test_equals_whole_slices_in_torch(
    card: Card, networks: dict[str, dict[str, np.ndarray]], engine: Engine, hu: np.ndarray
) -> None:
    """One slice at a time, the end slices repeated, an odd image filled up with air."""
    module = UNet(7, card.segmentation.depth, card.segmentation.width).eval()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in networks["segmentation"].items()}, strict=False)
    filled = np.full((SHAPE[0], 92, 108), -1000, np.int16)
    filled[:, :90, :107] = hu
    x = torch.from_numpy(filled).float().clamp(-1000, 400)
    with torch.inference_mode():
        expected = [
            torch.sigmoid(module(torch.stack([x[min(max(k, 0), SHAPE[0] - 1)] for k in range(i - 3, i + 4)])[None]))[0, 0]
            for i in range(SHAPE[0])
        ]
    ours = segment(volume(hu), None, card, engine)
    np.testing.assert_allclose(ours.values, torch.stack(expected).numpy()[:, :90, :107], atol=2e-5)


@pytest.mark.parametrize(
    "box",
    [
        ((2, 19), (30, 61), (41, 70)),
        ((0, 21), (0, 40), (60, 107)),
        ((5, 6), (89, 90), (0, 1)),
        ((4, 20), (31, 33), (3, 104)),
    ],
)
def test_the_gate_changes_no_probability_inside(card: Card, engine: Engine, hu: np.ndarray, box: Box) -> None:
    everywhere = segment(volume(hu), None, card, engine).values
    lungs = BoxOfLungs(box)
    gated = segment(volume(hu), lungs, card, engine)
    assert gated.box == box
    (first, last), rows, columns = box
    for start in range(first, last, stage.SLAB_SLICES):
        stop = min(start + stage.SLAB_SLICES, last)
        slab = lungs.slab_box(gated.grid, start, stop)
        assert slab is not None
        _, (r0, r1), (c0, c1) = slab
        np.testing.assert_allclose(
            gated.values[start - first : stop - first, r0 - rows[0] : r1 - rows[0], c0 - columns[0] : c1 - columns[0]],
            everywhere[start:stop, r0:r1, c0:c1],
            atol=1e-6,
        )


def test_a_smaller_halo_would_change_it(card: Card, engine: Engine, hu: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    box = ((2, 19), (40, 61), (41, 70))
    everywhere = segment(volume(hu), None, card, engine).values[2:19, 42:61, 41:70]
    monkeypatch.setattr(stage.graph, "halo", lambda _: 8)
    gated = segment(volume(hu), BoxOfLungs(box), card, engine).values[:, 2:]
    assert np.abs(gated - everywhere).max() > 1e-5


def test_the_stacks_that_reach_the_engine_share_the_slab_s_memory(card: Card, hu: np.ndarray) -> None:
    seen: list[np.ndarray] = []

    class Looks:
        precision = "fp32"

        def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            for batch in batches:
                seen.append(batch)
                yield np.zeros((batch.shape[0], *batch.shape[2:]), np.float32)

    segment(replace(volume(hu)), None, card, Looks())
    assert all(np.shares_memory(batch[0], batch[1]) and batch[0].flags.c_contiguous for batch in seen)
    assert sum(len(batch) for batch in seen) == SHAPE[0]
