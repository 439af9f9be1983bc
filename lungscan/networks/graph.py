"""The networks as ONNX, written from card and tensors without torch: every engine starts from this one graph.

The graphs take HU, clipped to the card's window, and give probabilities in float32:

    segmentation : (N, slices, H, W) -> (N, H, W); H and W are multiples of `cell`
    classifier   : (N, scales, I, R, C) -> (N,), the probability of the class looked for

Their type is that of the weights and of all between the first norm and the last logit: that first norm and the step to a
probability are float32 in every one. HU come as float32, in the half types as float16, which holds HU up to 2048 exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungscan.weights.card import Card, Cnn3dCard, UNetCard

Tensors = Mapping[str, npt.NDArray[np.float32]]
Values = npt.NDArray[np.float32]
OPSET = 17
OPSET_BF16 = 22  # the first in which ONNX has convolutions in bfloat16
NORM_EPSILON = 1e-5  # torch's default, with which the networks were trained
TYPES: dict[str, int] = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@dataclass(frozen=True)
class Network:
    """A graph and how to feed it: `rows` is how many rows of a batch go to the engine at once. Card and tensors are what
    the graph was written from."""

    name: str
    onnx: bytes
    rows: int
    card: Card = field(repr=False)
    tensors: Tensors = field(repr=False)


class _Graph:
    """Nodes in order; each method appends some and returns the name of their output. A convolution has its weights' name."""

    def __init__(self, tensors: Tensors, kind: str) -> None:
        self.tensors = tensors
        self.kind = kind
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        output = f"{kind.lower()}_{len(self.nodes)}"
        name = inputs[1].replace(".weight", "") if kind == "Conv" else output
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output

    def cast(self, x: str, kind: str) -> str:
        return self.op("Cast", x, to=TYPES[kind])

    def integers(self, name: str, value: npt.NDArray[np.int64]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def weights(self, name: str, value: npt.NDArray[np.floating], kind: str | None = None) -> str:
        """A constant in the graph's type."""
        self.constants[name] = _typed(name, np.asarray(value, np.float32), kind or self.kind)
        return name

    def _line(self, norm: str) -> tuple[Values, Values]:
        """Batch norm as it acts once trained: x * scale + shift in each channel."""
        weight, bias, mean, variance = (
            self.tensors[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + NORM_EPSILON)
        return scale.astype(np.float32), (bias - mean * scale).astype(np.float32)

    def norm(self, x: str, name: str, axes: int, kind: str | None = None) -> str:
        """A norm that stands before padding: its shift cannot move into the convolution, which pads with zeros."""
        scale, shift = (part.reshape(-1, *[1] * axes) for part in self._line(name))
        scaled = self.op("Mul", x, self.weights(f"{name}.scale", scale, kind))
        return self.op("Add", scaled, self.weights(f"{name}.shift", shift, kind))

    def first_norm(self, x: str, name: str, axes: int) -> str:
        """The norm that scales HU."""
        if self.kind == "fp32":
            return self.norm(x, name, axes)
        return self.cast(self.norm(self.cast(x, "fp32"), name, axes, "fp32"), self.kind)

    def conv(self, x: str, name: str, **attributes: object) -> str:
        parts = (self.weights(part, self.tensors[part]) for part in (f"{name}.weight", f"{name}.bias"))
        return self.op("Conv", x, *parts, **attributes)

    def pointwise(self, x: str, name: str, weight: Values, bias: Values, norm: str) -> str:
        """1x1 conv of what `norm` makes of x, weights (outside, inside): nothing is padded, so the norm is in them."""
        scale, shift = self._line(norm)
        wide = self.weights(f"{name}.weight", (weight * scale)[:, :, None, None])
        return self.op("Conv", x, wide, self.weights(f"{name}.bias", bias + weight @ shift), kernel_shape=[1, 1])

    def doubled(self, x: str, name: str, norm: str) -> str:
        """Transposed convolution of 2x2 with stride 2, as the 1x1 convolution that gives all four pixels as channels:
        the same map, which every runtime has in every type."""
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]  # (inside, outside, 2, 2), (outside,)
        by_pixel = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
        return self.op("DepthToSpace", self.pointwise(x, name, by_pixel, np.tile(bias, 4), norm), blocksize=2, mode="DCR")

    def conv_of_two(self, a: str, b: str, name: str) -> str:
        """3x3 convolution of two tensors that lie one after the other in the channels. In float32 they are not joined in
        memory; a half type would round each part of the sum."""
        same_size = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        if self.kind != "fp32":
            return self.conv(self.op("Concat", a, b, axis=1), name, **same_size)
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        half = weight.shape[1] // 2
        parts = [self.weights(f"{name}.weight.{k}", part) for k, part in enumerate((weight[:, :half], weight[:, half:]))]
        first = self.op("Conv", a, parts[0], self.weights(f"{name}.bias", bias), **same_size)
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

    def single(self, x: str) -> str:
        """In float32."""
        return x if self.kind == "fp32" else self.cast(x, "fp32")

    def model(self, name: str, input_shape: list[str | int], output: str, output_shape: list[str | int]) -> bytes:
        hu = TensorProto.FLOAT if self.kind == "fp32" else TensorProto.FLOAT16
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["p"])],
            name,
            [helper.make_tensor_value_info("hu", hu, input_shape)],
            [helper.make_tensor_value_info("p", TensorProto.FLOAT, output_shape)],
            list(self.constants.values()),
        )
        opset, ir = (OPSET_BF16, 10) if self.kind == "bf16" else (OPSET, 9)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
        return bytes(model.SerializeToString())


def _typed(name: str, value: Values, kind: str) -> onnx.TensorProto:
    """A constant in a type, rounded to the nearest, ties to even."""
    if kind == "bf16":  # NumPy has no such type: it is the upper half of a float32
        bits = np.ascontiguousarray(value).view(np.uint32)
        raw = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
        return TensorProto(name=name, data_type=TensorProto.BFLOAT16, dims=value.shape, raw_data=raw)
    return numpy_helper.from_array(value.astype(np.float16 if kind == "fp16" else np.float32), name)


def segmentation(card: Card, tensors: Tensors, kind: str = "fp32") -> Network:
    """The U-Net of `lungscan.networks.unet`, from tensors named as there, in one of `TYPES`."""
    slices = 2 * card.input.context_slices + 1
    g = _Graph(tensors, kind)
    p = g.op("Sigmoid", g.single(_unet(g, card.segmentation, "hu")))
    p = g.op("Squeeze", p, g.integers("channel_axis", np.array([1], np.int64)))
    model = g.model("segmentation", ["n", slices, "h", "w"], p, ["n", "h", "w"])
    return Network("segmentation", model, 1, card, tensors)


def _unet(g: _Graph, card: UNetCard, x: str) -> str:
    """To the logit. A block's second norm goes into what convolves single pixels after it, and stands alone elsewhere."""

    def block(x: str, name: str) -> str:
        return g.conv_relu(g.norm(x, f"{name}.norm1", 2), f"{name}.conv2", 2)

    x = g.first_norm(x, "input_norm", 2)
    if fold(card) > 1:
        x = g.folded(x, fold(card))
    skips: list[str] = []
    for level in range(card.depth):
        if level:
            x = g.norm(x, f"down.{level - 1}.norm2", 2)
            skips.append(x)
            x = g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = block(g.conv_relu(x, f"down.{level}.conv1", 2), f"down.{level}")
    norm = f"down.{card.depth - 1}.norm2"
    for step in range(card.depth - 1):
        joined = g.conv_of_two(g.doubled(x, f"up.{step}.up", norm), skips.pop(), f"up.{step}.block.conv1")
        x, norm = block(g.op("Relu", joined), f"up.{step}.block"), f"up.{step}.block.norm2"
    x = g.pointwise(x, "last", g.tensors["last.weight"][:, :, 0, 0], g.tensors["last.bias"], norm)
    return g.op("DepthToSpace", x, blocksize=fold(card), mode="CRD") if fold(card) > 1 else x


def classifier(name: str, card: Card, cnn: Cnn3dCard, tensors: Tensors, kind: str = "fp32") -> Network:
    """The 3-D CNN of `lungscan.networks.cnn3d`, from tensors named as there, in one of `TYPES`."""
    g = _Graph(tensors, kind)
    x = g.first_norm("hu", "tail_norm", 3)
    for level in range(len(cnn.widths)):
        x = g.conv_relu(g.conv_relu(x, f"blocks.{level}.conv1", 3), f"blocks.{level}.conv2", 3)
        x = g.op("MaxPool", x, kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    head = (g.weights(part, tensors[part]) for part in ("head.weight", "head.bias"))
    x = g.single(g.op("Gemm", g.op("Flatten", x), *head, transB=1))
    p = g.op("Gather", g.op("Softmax", x, axis=1), g.integers("second", np.array(1, np.int64)), axis=1)
    model = g.model(name, ["n", len(card.input.crop_scales), *card.input.crop_irc], p, ["n"])
    return Network(name, model, 8, card, tensors)


def retyped(network: Network, kind: str) -> Network:
    """The same network in another of `TYPES`."""
    card, tensors = network.card, network.tensors
    if network.name == "segmentation":
        return segmentation(card, tensors, kind)
    cnn = card.nodule if network.name == "nodule" else card.malignancy
    assert cnn is not None  # a network without a card cannot have been written
    return classifier(network.name, card, cnn, tensors, kind)


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
