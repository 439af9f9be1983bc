"""PyTorch as an engine on a CPU: what the graph gives, row for row."""

from __future__ import annotations

import numpy as np
import pytest
from lungscan.engines import open_engine

from lungscan.errors import EngineUnavailable
from lungscan.networks import graph
from lungscan.networks.graph import Network
from tests.support import random_networks, small_card

CARD = small_card()
TENSORS = random_networks(CARD)
NETWORKS = {
    "segmentation": (graph.segmentation(CARD, TENSORS["segmentation"]), (7, 32, 48)),
    "nodule": (graph.classifier("nodule", CARD, CARD.nodule, TENSORS["nodule"]), (1, *CARD.input.crop_irc)),
    "malignancy": (graph.classifier("malignancy", CARD, CARD.nodule, TENSORS["malignancy"]), (1, *CARD.input.crop_irc)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_graph(name: str) -> None:
    network, shape = NETWORKS[name]
    batches = [
        np.random.default_rng(k).integers(-1000, 400, (rows, *shape)).astype(np.float32) for k, rows in enumerate((5, 2))
    ]
    ours, theirs = (list(open_engine(network, "cpu", engine, "fp32")(batches)) for engine in ("torch", "openvino"))
    for a, b, batch in zip(ours, theirs, batches, strict=True):
        assert len(a) == len(batch)
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_rows_need_not_lie_contiguous() -> None:
    network, shape = NETWORKS["segmentation"]
    slab = np.random.default_rng(0).integers(-1000, 400, (12, *shape[1:])).astype(np.float32)
    windows = np.moveaxis(np.lib.stride_tricks.sliding_window_view(slab, 7, axis=0, writeable=True), -1, 1)
    engine = open_engine(network, "cpu", "torch")
    np.testing.assert_array_equal(next(engine([windows])), next(engine([np.ascontiguousarray(windows)])))


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_a_cpu_runs_float32_alone(precision: str) -> None:
    with pytest.raises(EngineUnavailable, match="--precision fp32"):
        open_engine(NETWORKS["nodule"][0], "cpu", "torch", precision)


@pytest.mark.parametrize("network", [n for n, _ in NETWORKS.values()], ids=NETWORKS)
def test_says_what_it_is(network: Network) -> None:
    engine = open_engine(network, "cpu", "torch")
    assert (engine.name, engine.device, engine.precision) == ("torch", "cpu", "fp32")
