"""Each stage against the plain way on made inputs: needs no real scan, so CI runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lungscan.engines import open_engine
from scipy import ndimage

from benchmarks import plain
from benchmarks.conftest import Compare
from lungscan.findings import Thresholds
from lungscan.networks import graph
from lungscan.stages.classify import classify
from lungscan.stages.group import group
from lungscan.stages.segment import Heatmap, segment
from lungscan.volume import Volume
from lungscan.weights import Weights
from lungscan.weights.card import Cnn3dCard, GroupingCard, InputCard, UNetCard
from tests.support import random_networks, small_card, volume


@pytest.fixture(scope="module")
def book_sized() -> Weights:
    """Untrained networks of the book's size."""
    card = replace(
        small_card(),
        input=InputCard((-1000, 1000), None, 3, plain.CROP_IRC),
        segmentation=UNetCard(3, 16),
        nodule=Cnn3dCard((8, 16, 32, 64)),
        malignancy=None,
        grouping=GroupingCard("erosion", 6, 0.0, 0.0),
        thresholds=Thresholds(0.5, 0.5, 0.5),
    )
    networks = random_networks(card)
    return Weights(card, networks["segmentation"], networks["nodule"], None, "")


@pytest.fixture(scope="module")
def chest() -> Volume:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((48, 512, 512), dtype=np.float32), (1, 2, 2))
    return volume((-700 + 3000 * smooth).clip(-1024, 1000), (2.5, 0.7, 0.7))


@pytest.fixture(scope="module")
def heatmap(chest: Volume) -> Heatmap:
    """Some thousand blobs over 0.5, as a U-Net leaves them: 1 % of the voxels."""
    rng = np.random.default_rng(1)
    values = ndimage.gaussian_filter(rng.standard_normal((128, 512, 512), dtype=np.float32), 1.6)
    values = (0.5 + 3 * (values - np.quantile(values[::8], 0.99))).clip(0, 1).astype(np.float32)
    made = volume(np.tile(chest.hu, (3, 1, 1))[:128])
    return Heatmap(values, tuple((0, n) for n in values.shape), made.grid)


def test_segment_fp32(faster: Compare, chest: Volume, book_sized: Weights) -> None:
    part = replace(chest, hu=chest.hu[:16], grid=chest.grid.part(((0, 16), (0, 512), (0, 512))))
    engine = open_engine(graph.segmentation(book_sized.card, book_sized.segmentation), "cpu", "openvino", "fp32")
    unet, _ = plain.modules(book_sized)

    def same(ours: np.ndarray, expected: np.ndarray) -> None:
        np.testing.assert_allclose(ours, expected, atol=1e-4)

    faster(
        lambda: segment(part, None, book_sized.card, engine).values,
        lambda: plain.segment(plain.clipped(part.hu), unet),
        same=same,
        floor=1.5,
        rounds=3,
    )


def test_group(faster: Compare, chest: Volume, heatmap: Heatmap, book_sized: Weights) -> None:
    made = replace(chest, hu=np.tile(chest.hu, (3, 1, 1))[:128], grid=heatmap.grid)
    hu = plain.clipped(made.hu)

    def same(ours: list[object], expected: list[object]) -> None:
        assert len(ours) == len(expected) > 500
        np.testing.assert_allclose([c.centre_irc for c in ours], expected, atol=1e-3)

    faster(
        lambda: group(heatmap, made, None, book_sized.card, 0.5).rows(),
        lambda: plain.group(heatmap.values, hu),
        same=same,
        floor=12,
    )


def test_classify_fp32(faster: Compare, chest: Volume, heatmap: Heatmap, book_sized: Weights) -> None:
    made = replace(chest, hu=np.tile(chest.hu, (3, 1, 1))[:128], grid=heatmap.grid)
    candidates = group(heatmap, made, None, book_sized.card, 0.5).some(96)
    engine = open_engine(
        graph.classifier("nodule", book_sized.card, book_sized.card.nodule, book_sized.nodule),
        "cpu",
        "openvino",
        "fp32",
    )
    _, cnn = plain.modules(book_sized)
    hu = plain.clipped(made.hu)

    def same(ours: list[float], expected: list[float]) -> None:
        np.testing.assert_allclose(ours, expected, atol=1e-4)

    faster(
        lambda: classify(candidates, made, book_sized.card, engine, None, 0.5).p_nodule.tolist(),
        lambda: plain.classify(hu, [c.centre_irc for c in candidates.rows()], cnn),
        same=same,
        floor=5,
        rounds=3,
    )
