"""The ONNX graph, written without torch, against the torch modules; in every engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from lungscan.engines import ENGINES, open_engine
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from lungscan.errors import EngineUnavailable, UsageError
from lungscan.networks import graph
from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.modules import arrays, fill
from lungscan.networks.unet import UNet
from lungscan.weights.card import Card, UNetCard
from tests.support import random_networks, small_card


@pytest.fixture(
    scope="module",
    params=[(1, 4, "full"), (2, 6, "full"), (3, 8, "full"), (4, 4, "full"), (2, 4, "half"), (3, 6, "half")],
    ids=lambda p: f"depth {p[0]} {p[2]}",
)
def card(request: pytest.FixtureRequest) -> Card:
    return replace(small_card(), segmentation=UNetCard(*request.param))


@pytest.mark.parametrize("engine", ENGINES)
def test_segmentation_equals_torch(card: Card, engine: str) -> None:
    networks = random_networks(card)
    ours = open_engine(graph.segmentation(card, networks["segmentation"]), "cpu", engine, "fp32")
    hu = np.random.default_rng(0).integers(-1000, 400, (3, 7, 32, 40)).astype(np.float32)
    module = UNet(7, card.segmentation.depth, card.segmentation.width, card.segmentation.stem).eval()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in networks["segmentation"].items()}, strict=False)
    with torch.inference_mode():
        expected = torch.sigmoid(module(torch.from_numpy(hu)))[:, 0].numpy()
    np.testing.assert_allclose(next(ours([hu])), expected, atol=2e-5)
    assert expected.std() > 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_classifier_equals_torch(engine: str) -> None:
    card = small_card()
    tensors = random_networks(card)["nodule"]
    ours = open_engine(graph.classifier("nodule", card, card.nodule, tensors), "cpu", engine, "fp32")
    hu = np.random.default_rng(0).integers(-1000, 400, (11, 1, *card.input.crop_irc)).astype(np.float32)
    module = Cnn3d(card.input.crop_irc, card.nodule.widths).eval()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
    with torch.inference_mode():
        expected = torch.softmax(module(torch.from_numpy(hu)), 1)[:, 1].numpy()
    np.testing.assert_allclose(next(ours([hu])), expected, atol=2e-5)


@pytest.mark.parametrize(("depth", "stem"), [(1, "full"), (2, "full"), (3, "full"), (4, "full"), (1, "half"), (3, "half")])
def test_halo_is_how_far_a_pixel_reaches(depth: int, stem: str) -> None:
    """Gradients of single output pixels against the input, at every place within a cell of the coarsest grid."""
    card = UNetCard(depth, 2, stem)
    cell = graph.cell(card)
    module = UNet(1, depth, 2, stem).double().eval()
    for parameter in module.parameters():
        parameter.data.abs_()  # no ReLU shuts a way
    size = 2 * graph.halo(card) + 4 * cell
    size += -size % cell
    middle = size // 2 // cell * cell
    reach = 0
    for place in range(middle, middle + cell):
        x = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        y = module(x)
        y[0, 0, place, place].backward()
        assert x.grad is not None
        touched = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
        reach = max(reach, place - int(touched[0]), int(touched[-1]) - place)
    assert reach <= graph.halo(card) <= reach + cell


def test_a_batch_may_be_cut_anywhere() -> None:
    card = small_card()
    engine = open_engine(
        graph.classifier("nodule", card, card.nodule, random_networks(card)["nodule"]), "cpu", "openvino", "fp32"
    )
    hu = np.random.default_rng(3).integers(-1000, 400, (19, 1, *card.input.crop_irc)).astype(np.float32)
    np.testing.assert_allclose(next(engine([hu])), np.concatenate(list(engine([hu[:5], hu[5:6], hu[6:]]))), atol=1e-6)


def test_refusals() -> None:
    card = small_card()
    network = graph.classifier("nodule", card, card.nodule, random_networks(card)["nodule"])
    with pytest.raises(UsageError, match="openvino, onnxruntime, torch, tensorrt"):
        open_engine(network, engine="caffe")
    with pytest.raises(EngineUnavailable, match="--device cpu"):
        open_engine(network, device="cuda")
    with pytest.raises(EngineUnavailable, match="fp32"):
        open_engine(network, engine="onnxruntime", precision="bf16")


HALF = {"fp16": (TensorProto.FLOAT16, 2.0**-11), "bf16": (TensorProto.BFLOAT16, 2.0**-8)}
"""The type, and half the distance of two numbers of it at 1."""


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", ["segmentation", "nodule"])
def test_half_types_hold_between_the_first_norm_and_the_logit(name: str, precision: str) -> None:
    card = small_card()
    tensors = random_networks(card)[name]
    whole = (
        graph.segmentation(card, tensors) if name == "segmentation" else graph.classifier(name, card, card.nodule, tensors)
    )
    model = onnx.load_from_string(graph.retyped(whole, precision).onnx)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    assert types["hu"] == TensorProto.FLOAT16
    assert types["p"] == TensorProto.FLOAT
    for node in inferred.node:
        if node.op_type in ("Conv", "Gemm", "Relu", "AveragePool", "MaxPool"):
            assert types[node.output[0]] == HALF[precision][0]
        if node.op_type in ("Sigmoid", "Softmax"):
            assert types[node.output[0]] == TensorProto.FLOAT
    assert types[inferred.node[0].output[0]] == TensorProto.FLOAT  # HU are scaled in float32


@pytest.mark.parametrize("precision", HALF)
def test_half_types_give_what_float32_gives_within_their_rounding(card: Card, precision: str) -> None:
    """Each layer rounds its sums and its weights once; forty roundings are more than any of these networks has in a row."""
    whole = graph.segmentation(card, random_networks(card)["segmentation"])
    hu = np.random.default_rng(0).integers(-1000, 400, (2, 7, 32, 40)).astype(np.float32)
    half = ReferenceEvaluator(onnx.load_from_string(graph.retyped(whole, precision).onnx))
    (expected,) = open_engine(whole, "cpu", "openvino", "fp32")([hu])
    (ours,) = half.run(None, {"hu": hu.astype(np.float16)})
    assert ours.dtype == np.float32
    assert 0 < np.abs(ours - expected).max() < 40 * HALF[precision][1]


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    """Against torch, ties and both signs included."""
    values = np.concatenate(
        [np.random.default_rng(0).standard_normal(1000), [1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8, 0.0]]
    ).astype(np.float32)
    held = graph._typed("x", values, "bf16")
    ours = torch.from_numpy(np.frombuffer(held.raw_data, np.int16).copy()).view(torch.bfloat16)
    assert torch.equal(ours, torch.from_numpy(values).bfloat16())


def test_norms_are_folded_away_and_nothing_changes() -> None:
    """After a few steps of learning: with its norms and without them the network says the same."""
    torch.manual_seed(0)
    module = Cnn3d((8, 12, 12), (3, 5), norms=True)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(module(torch.randn(8, 1, 8, 12, 12) * 300 - 600), torch.arange(8) % 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    plain = Cnn3d((8, 12, 12), (3, 5)).eval()
    tensors = arrays(module)
    assert set(tensors) == set(arrays(plain))
    fill(plain, tensors)
    hu = torch.randn(4, 1, 8, 12, 12) * 300 - 600
    with torch.inference_mode():
        torch.testing.assert_close(plain(hu), module.eval()(hu), atol=1e-5, rtol=1e-5)
