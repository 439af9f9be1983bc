"""A weights file for other runtimes: ONNX, OpenVINO IR, TensorRT plans. What is made runs a scan beside PyTorch first.

An engine that parts from the reference is neither written nor installed. One that this machine cannot run, a plan for
another GPU, is installed as built and not verified; its first use on that GPU proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lungscan.engines import Batch, Engine, open_engine, plan, quantised, store
from lungscan.engines.shared_stream import gpu
from lungscan.engines.unreported import unreported
from lungscan.errors import UsageError
from lungscan.files import write_bytes
from lungscan.networks import graph
from lungscan.networks.graph import Network
from lungscan.parity.gate import Check, Gate, networks, opened, specimen
from lungscan.pipeline import Networks
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import segment
from lungscan.weights import Weights

PRECISIONS = {"onnx": ("fp32", "fp16", "bf16"), "openvino": ("fp32", "fp16", "int8"), "tensorrt": ("fp16", "fp32", "bf16")}
"""What is offered, by what it is made for; the first is the default."""

CALIBRATION_ROWS = 120
"""Stacks that int8's ranges are taken from."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Exported:
    """What was made. Without checks this machine cannot run it; where one parts from the reference there are no files."""

    files: tuple[Path, ...]
    checks: tuple[Check, ...]
    reference: str


def export(
    weights: Weights,
    to: str,
    precision: str | None = None,
    *,
    target: str | None = None,
    folder: Path | None = None,
    calibrate: Sequence[Path] = (),
    on: Path | None = None,
) -> Exported:
    """Make the networks of a weights file into what another runtime takes, and install or write what keeps parity.

    to        : a key of `PRECISIONS`
    target    : GPU that TensorRT's plans are for, "sm_120"; the one at hand when None
    folder    : where files go; ONNX and IR go to "<to>-<precision>" here when None, plans and int8 to the user's cache alone
    calibrate : scans that int8's ranges are taken from; a phantom when there are none
    on        : the scan that parity is judged on, a phantom when None; int8 is judged on those of `calibrate` too

    Raises UsageError for what is not offered, EngineUnavailable for what this machine cannot make.
    """
    precision = precision or PRECISIONS[to][0]
    if precision not in PRECISIONS[to]:
        raise UsageError(f"--to {to} is offered in {', '.join(PRECISIONS[to])}, not in {precision}.")
    if to != "tensorrt" and target is not None:
        raise UsageError("--target names a GPU: it goes with --to tensorrt.")
    if calibrate and precision != "int8":
        raise UsageError("--calibrate gives the ranges of int8: it goes with --to openvino --precision int8.")
    if to == "tensorrt":
        return _plans(weights, precision, target, folder, on)
    gate = Gate(weights, (*calibrate, on) if on is not None else calibrate or (None,))
    for made in _attempts(weights, to, precision, calibrate):
        checks = gate.judge(to, precision, _run(weights, made, to, precision))
        if not any(check.parts for check in checks):
            break
    else:
        return Exported((), checks, gate.reference)
    installed = []
    if precision == "int8":
        network = next(networks(weights))
        installed = store.save(quantised.key(network), store.Entry(made[network.name], {"verified": _words(checks)}))
    if precision != "int8" or folder is not None:
        installed += _write(folder or Path(f"{to}-{precision}"), made)
    return Exported(tuple(installed), checks, gate.reference)


def _attempts(weights: Weights, to: str, precision: str, calibrate: Sequence[Path]) -> Iterator[dict[str, Files]]:
    """The networks' files, what is fastest first: int8 is made again with more of the U-Net's finest levels in float32."""
    if to == "onnx":
        yield {network.name: {".onnx": graph.retyped(network, precision).onnx} for network in networks(weights)}
        return
    made = {network.name: _openvino(network, half=precision == "fp16") for network in networks(weights)}
    if precision != "int8":
        yield made
        return
    stacks = _stacks(weights, calibrate)
    for float_levels in range(weights.card.segmentation.depth - 1):
        yield made | {"segmentation": quantised.quantise(next(networks(weights)), stacks, float_levels)}


def _openvino(network: Network, *, half: bool) -> Files:
    """IR; in fp16 the weights alone are of this type, and the CPU computes as it does."""
    with unreported():
        import openvino as ov

    return quantised.written(ov.Core().read_model(network.onnx), half=half)


def _run(weights: Weights, made: Mapping[str, Files], to: str, precision: str) -> Networks:
    """The files in engines of this machine's CPU."""

    def opener(network: Network) -> Engine:
        files = made[network.name]
        if to == "onnx" and precision != "bf16" and find_spec("onnxruntime"):  # which has no bfloat16 on a CPU
            from lungscan.engines.onnxruntime import OnnxRuntimeEngine

            return OnnxRuntimeEngine(network, precision, exported=files[".onnx"])
        from lungscan.engines.openvino import OpenVinoEngine

        own = "int8" if precision == "int8" and network.name == "segmentation" else "fp32"
        return OpenVinoEngine(network, own, exported=files)

    return opened(weights, opener)


def _plans(weights: Weights, precision: str, asked: str | None, folder: Path | None, on: Path | None) -> Exported:
    trt = plan.tensorrt()
    sm = plan.target(trt, asked)
    made = {network.name: plan.plan(trt, network, precision, sm) for network in networks(weights)}
    checks: tuple[Check, ...] = ()
    against = ""
    here = gpu()
    if here is not None and sm == f"sm_{here[0]}{here[1]}":
        from lungscan.engines.tensorrt import TensorRtEngine

        gate = Gate(weights, [on])
        checks = gate.judge("tensorrt", precision, opened(weights, lambda network: TensorRtEngine(network, precision)))
        against = gate.reference
        if any(check.parts for check in checks):
            for key, _ in made.values():
                store.remove(key)
            return Exported((), checks, against)
        for key, entry in made.values():
            store.save(key, replace(entry, facts={"verified": _words(checks)}))
    files = [path for key, entry in made.values() for path in store.paths(key, entry)]
    if folder is not None:
        files += _write(folder, {name: entry.files for name, (_, entry) in made.items()})
    return Exported(tuple(files), checks, against)


def _stacks(weights: Weights, paths: Sequence[Path]) -> list[Batch]:
    """Rows that the segmentation sees in these scans, as many of each: those where it flags something, if it does."""
    sees = open_engine(next(networks(weights)), "cpu", precision="fp32")
    scans: Sequence[Path | None] = paths or (None,)
    rows: list[Batch] = []
    for path in scans:
        volume, lungs = normalise(specimen(path), weights.card.input.spacing_irc_mm, lung_gate=True)
        watching = _Watching(sees, weights.card.thresholds.segmentation)
        segment(volume, lungs, weights.card, watching)
        seen = watching.flagged or watching.others
        rows += seen[:: -(-len(seen) * len(scans) // CALIBRATION_ROWS)]
    return rows


class _Watching:
    """An engine that keeps the rows that it is shown."""

    def __init__(self, engine: Engine, threshold: float) -> None:
        self.name, self.version, self.precision, self.device = engine.name, engine.version, engine.precision, engine.device
        self.flagged: list[Batch] = []
        self.others: list[Batch] = []
        self._engine, self._threshold = engine, threshold

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            (p,) = self._engine([batch])
            for row, map_ in zip(batch, p, strict=True):
                kept = self.flagged if (map_ > self._threshold).any() else self.others
                kept.append(np.array(row[None]))
            yield p


def _write(folder: Path, made: Mapping[str, Files]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, files in made.items():
            for suffix, content in files.items():
                write_bytes(folder / f"{name}{suffix}", content)
                paths.append(folder / f"{name}{suffix}")
    except OSError as error:
        raise UsageError(f"-o {folder} cannot be a folder to write into: {error.strerror}.") from error
    return paths


def _words(checks: Sequence[Check]) -> str:
    """For the sidecar: on which scans the gate held."""
    return f"agrees with the reference on {', '.join(check.scan for check in checks)}"
