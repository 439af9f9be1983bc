"""A network as a TensorRT plan. Full TensorRT and TensorRT for RTX share this API; which of them serves is seen at run time.

Full TensorRT builds for the GPU that it runs on. TensorRT for RTX builds for any GPU that it knows, without one at hand: its
plan is finished on the GPU when it is first run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lungscan.engines import store
from lungscan.engines.shared_stream import gpu

from lungscan.errors import EngineUnavailable, UsageError
from lungscan.networks import graph
from lungscan.networks.graph import Network

PRECISIONS = ("fp16", "fp32", "bf16")
MOST_SIDE = 1024
"""Longest side of a slice that a plan takes, in pixels."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """Shapes of a batch that a plan serves, and the one that it serves best."""

    least: Shape
    best: Shape
    most: Shape

    @classmethod
    def of(cls, network: Network) -> Profile:
        """32 slices or 64 crops at most; 8 are what a stage gives at once."""
        card = network.card
        if network.name == "segmentation":
            slices, cell = 2 * card.input.context_slices + 1, graph.cell(card.segmentation)
            best, most = (-(-side // cell) * cell for side in (320, MOST_SIDE))
            return cls((1, slices, cell, cell), (8, slices, best, best), (32, slices, most, most))
        crop = (len(card.input.crop_scales), *card.input.crop_irc)
        return cls((1, *crop), (8, *crop), (64, *crop))

    def __str__(self) -> str:
        return " ".join("x".join(map(str, shape)) for shape in (self.least, self.best, self.most))


def tensorrt() -> Any:
    """The module that serves here: `tensorrt` where there is a GPU and it is installed, else `tensorrt_rtx`.

    Raises EngineUnavailable where neither is installed.
    """
    if gpu() is not None and find_spec("tensorrt") is not None:
        return import_module("tensorrt")
    if find_spec("tensorrt_rtx") is not None:
        return import_module("tensorrt_rtx")
    raise EngineUnavailable("TensorRT is not installed: pip install tensorrt-rtx, or use --engine torch.")


def is_rtx(trt: Any) -> bool:
    return str(trt.__name__) == "tensorrt_rtx"


def runtime(trt: Any) -> str:
    """Name and version, for keys and reports."""
    return f"{trt.__name__} {trt.__version__}"


def targets(trt: Any) -> tuple[str, ...]:
    """The GPUs that TensorRT for RTX builds for: sm_75, sm_80, ..."""
    names: Sequence[str] = sorted(trt.ComputeCapability.__members__, key=lambda name: (len(name), name))
    return tuple(f"sm_{name[2:]}" for name in names if name.startswith("SM"))


def serves(trt: Any, capability: tuple[int, int]) -> bool:
    """Does this library run on a GPU of this compute capability?"""
    return not is_rtx(trt) or f"sm_{capability[0]}{capability[1]}" in targets(trt)


def target(trt: Any, asked: str | None) -> str:
    """The GPU to build for: the one asked for, or the one at hand.

    Raises UsageError for what is no target, EngineUnavailable for a GPU that this library does not build for.
    """
    here = gpu()
    at_hand = None if here is None else f"sm_{here[0]}{here[1]}"
    wanted = asked or at_hand
    if wanted is None:
        raise UsageError(f"there is no GPU here to build for: name one with --target ({', '.join(targets(trt))}).")
    if not (wanted.startswith("sm_") and wanted[3:].isdigit()):
        raise UsageError(f"--target {wanted} is no GPU: it is sm_ and the compute capability, as in sm_120.")
    if is_rtx(trt) and wanted not in targets(trt):
        raise EngineUnavailable(
            f"TensorRT for RTX does not run on {wanted} (it knows {', '.join(targets(trt))}); use --engine torch there."
        )
    if not is_rtx(trt) and wanted != at_hand:
        raise EngineUnavailable(
            f"TensorRT builds for the GPU at hand, {at_hand}, not for {wanted}; leave --target out, or name that one."
        )
    return wanted


def key(trt: Any, network: Network, precision: str, sm: str) -> store.Key:
    """`network` is the one of the precision, as it goes into the plan."""
    return store.Key(
        kind="plan",
        network=network.name,
        graph=store.digest(network.onnx),
        precision=precision,
        runtime=runtime(trt),
        target=sm,
        profile=str(Profile.of(network)),
    )


def plan(trt: Any, network: Network, precision: str, sm: str) -> tuple[store.Key, store.Entry]:
    """The plan of a network in a precision for a GPU: from the user's cache where it fits, else built and kept there.

    Raises EngineUnavailable where TensorRT cannot build it, or the cache cannot be used.
    """
    if precision not in PRECISIONS:
        raise EngineUnavailable(f"TensorRT runs {', '.join(PRECISIONS)} here, not {precision}; use --precision fp16.")
    typed = graph.retyped(network, precision)
    where = key(trt, typed, precision, sm)
    entry = store.load(where)
    if entry is None:
        entry = store.Entry({".plan": build(trt, typed, sm)}, {"verified": None})
        store.save(where, entry)
    return where, entry


def build(trt: Any, network: Network, sm: str) -> bytes:
    """A plan from a network's graph, in the types of that graph. Raises EngineUnavailable with TensorRT's reason."""
    said = log(trt)
    said.messages.clear()
    builder = trt.Builder(said)
    if builder is None:
        raise EngineUnavailable(f"TensorRT cannot build here: {said.last()}.")
    definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(definition, said)
    if not parser.parse(network.onnx):
        reason = parser.get_error(0).desc() if parser.num_errors else said.last()
        raise EngineUnavailable(f"TensorRT cannot read the network {network.name}: {reason}.")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # what is typed float32 runs in it
    if is_rtx(trt):
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm[3:]}"), 0)
    profile, shapes = builder.create_optimization_profile(), Profile.of(network)
    profile.set_shape("hu", shapes.least, shapes.best, shapes.most)
    config.add_optimization_profile(profile)
    blob = builder.build_serialized_network(definition, config)
    if blob is None:
        raise EngineUnavailable(f"TensorRT cannot build the network {network.name} for {sm}: {said.last()}.")
    return bytes(blob)


@cache
def log(trt: Any) -> Any:
    """The logger of this process; TensorRT takes the first alone. What fails returns None and says why only here."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.messages.append(message)

        def last(self) -> str:
            return self.messages[-1].rstrip(". ") if self.messages else "it gives no reason"

    return Log()
