"""The networks as ONNX, written from card and tensors without torch: every engine starts from this one graph.

The graphs take HU, clipped to the card's window, and give probabilities:

    segmentation : (N, slices, H, W) float32 -> (N, H, W) float32; H and W are multiples of `cell`
    classifier   : (N, scales, I, R, C) float32 -> (N,) float32, the probability of the class looked for
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungscan.weights.card import Card, Cnn3dCard, UNetCard

Tensors = Mapping[str, npt.NDArray[np.float32]]
OPSET = 17
NORM_EPSILON = 1e-5  # torch's default, with which the networks were trained


@dataclass(frozen=True)
class Network:
    """A graph and how to feed it: `rows` is how many rows of a batch go to the engine at once."""

    name: str
    onnx: bytes
    rows: int


class _Graph:
    """Nodes in order; each method appends one and returns the name of its output."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, npt.NDArray[np.generic]] = {}

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self.constants[name] = value
        return name

    def weights(self, *names: str) -> list[str]:
        return [self.constant(name, self.tensors[name]) for name in names]

    def norm(self, x: str, name: str) -> str:
        parts = self.weights(*(f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")))
        return self.op("BatchNormalization", x, *parts, epsilon=NORM_EPSILON)

    def conv(self, x: str, name: str, **attributes: object) -> str:
        return self.op("Conv", x, *self.weights(f"{name}.weight", f"{name}.bias"), **attributes)

    def conv_of_two(self, a: str, b: str, name: str) -> str:
        """3x3 convolution of two tensors that lie one after the other in the channels, without joining them in memory."""
        weight = self.tensors[f"{name}.weight"]
        half = weight.shape[1] // 2
        parts = [
            self.constant(f"{name}.weight.{k}", np.ascontiguousarray(part))
            for k, part in enumerate((weight[:, :half], weight[:, half:]))
        ]
        same_size = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        first = self.op("Conv", a, parts[0], *self.weights(f"{name}.bias"), **same_size)
        return self.op("Add", first, self.op("Conv", b, parts[1], **same_size))

    def folded(self, x: str, size: int) -> str:
        """Squares of size x size pixels as channels. ONNX puts the pixel before the channel and torch the channel first, so
        the first convolution's weights are put in ONNX's order."""
        name = "down.0.conv1.weight"
        weight = self.tensors[name]
        by_pixel = weight.reshape(len(weight), -1, size * size, *weight.shape[2:]).swapaxes(1, 2)
        self.tensors = {**self.tensors, name: np.ascontiguousarray(by_pixel.reshape(weight.shape))}
        return self.op("SpaceToDepth", x, blocksize=size)

    def conv_relu(self, x: str, name: str, axes: int) -> str:
        return self.op("Relu", self.conv(x, name, kernel_shape=[3] * axes, pads=[1] * (2 * axes)))

    def model(self, name: str, input_shape: list[str | int], output: str, output_shape: list[str | int]) -> bytes:
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["p"])],
            name,
            [helper.make_tensor_value_info("hu", TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info("p", TensorProto.FLOAT, output_shape)],
            [numpy_helper.from_array(np.asarray(value), key) for key, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        return bytes(model.SerializeToString())


def segmentation(card: Card, tensors: Tensors) -> Network:
    """The U-Net of `lungscan.networks.unet`, from tensors named as there."""
    slices = 2 * card.input.context_slices + 1
    g = _Graph(tensors)
    p = g.op("Sigmoid", _unet(g, card.segmentation, "hu"))
    p = g.op("Squeeze", p, g.constant("channel_axis", np.array([1], np.int64)))
    return Network("segmentation", g.model("segmentation", ["n", slices, "h", "w"], p, ["n", "h", "w"]), rows=1)


def _unet(g: _Graph, card: UNetCard, x: str) -> str:
    def normed(x: str, name: str) -> str:
        x = g.norm(x, f"{name}.norm1")
        return g.norm(g.conv_relu(x, f"{name}.conv2", 2), f"{name}.norm2")

    x = g.norm(x, "input_norm")
    if fold(card) > 1:
        x = g.folded(x, fold(card))
    skips: list[str] = []
    for level in range(card.depth):
        if level:
            x = g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = normed(g.conv_relu(x, f"down.{level}.conv1", 2), f"down.{level}")
        skips.append(x)
    skips.pop()
    for step in range(card.depth - 1):
        wide = g.weights(f"up.{step}.up.weight", f"up.{step}.up.bias")
        up = g.op("ConvTranspose", x, *wide, kernel_shape=[2, 2], strides=[2, 2])
        joined = g.conv_of_two(up, skips.pop(), f"up.{step}.block.conv1")
        x = normed(g.op("Relu", joined), f"up.{step}.block")
    x = g.conv(x, "last", kernel_shape=[1, 1])
    return g.op("DepthToSpace", x, blocksize=fold(card), mode="CRD") if fold(card) > 1 else x


def classifier(name: str, card: Card, cnn: Cnn3dCard, tensors: Tensors) -> Network:
    """The 3-D CNN of `lungscan.networks.cnn3d`, from tensors named as there."""
    g = _Graph(tensors)
    x = g.norm("hu", "tail_norm")
    for level in range(len(cnn.widths)):
        x = g.conv_relu(g.conv_relu(x, f"blocks.{level}.conv1", 3), f"blocks.{level}.conv2", 3)
        x = g.op("MaxPool", x, kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    x = g.op("Gemm", g.op("Flatten", x), *g.weights("head.weight", "head.bias"), transB=1)
    p = g.op("Gather", g.op("Softmax", x, axis=1), g.constant("second", np.array(1, np.int64)), axis=1)
    return Network(name, g.model(name, ["n", len(card.input.crop_scales), *card.input.crop_irc], p, ["n"]), rows=8)


def fold(card: UNetCard) -> int:
    """Side in pixels of the squares that the stem folds into channels."""
    return 2 if card.stem == "half" else 1


def cell(card: UNetCard) -> int:
    """Side in pixels of a cell of the coarsest grid: what a slice's sides must be multiples of."""
    size: int = fold(card) * 2 ** (card.depth - 1)
    return size


def halo(card: UNetCard) -> int:
    """Pixels beyond an output pixel that can change it, to either side.

    Counted in folded pixels, every 3x3 convolution of level l reaches 2**l; a block has two, and all levels but the lowest
    have two blocks. Pooling, folding and what undoes them keep inside one cell of the coarsest grid, which adds at most a
    cell less one pixel.
    """
    lowest: int = 2 ** (card.depth - 1)
    return fold(card) * (2 * lowest + 4 * (lowest - 1)) + cell(card) - 1
