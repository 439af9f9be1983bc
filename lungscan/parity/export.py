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
from lungscan.errors import UsageError
from lungscan.files import write_bytes
from lungscan.networks import graph
from lungscan.networks.graph import Network
from lungscan.parity.gate import Check, judged, named, networks, opened, reference, specimen
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
    made = dict(_onnx(weights, precision) if to == "onnx" else _openvino(weights, precision, calibrate))
    ours = reference(weights)
    theirs = opened(weights, lambda network: _opened(network, made[network.name], to, precision))
    scans = (*calibrate, on) if on is not None else calibrate or (None,)
    checks = judged(to, precision, ours, theirs, scans)
    if any(check.parts for check in checks):
        return Exported((), checks, named(ours))
    installed = []
    if precision == "int8":
        network = next(networks(weights))
        installed = store.save(quantised.key(network), store.Entry(made[network.name], {"verified": _words(checks)}))
    if precision != "int8" or folder is not None:
        installed += _write(folder or Path(f"{to}-{precision}"), made)
    return Exported(tuple(installed), checks, named(ours))


def _onnx(weights: Weights, precision: str) -> Iterator[tuple[str, Files]]:
    for network in networks(weights):
        yield network.name, {".onnx": graph.retyped(network, precision).onnx}


def _openvino(weights: Weights, precision: str, calibrate: Sequence[Path]) -> Iterator[tuple[str, Files]]:
    """IR; in fp16 the weights alone are of this type, and the CPU computes as it does."""
    import openvino as ov

    for network in networks(weights):
        if precision == "int8" and network.name == "segmentation":
            yield network.name, quantised.quantise(network, _stacks(weights, calibrate))
        else:
            yield network.name, quantised.written(ov.Core().read_model(network.onnx), half=precision == "fp16")


def _opened(network: Network, files: Files, to: str, precision: str) -> Engine:
    """An engine of this machine's CPU that runs the files."""
    from lungscan.engines.openvino import OpenVinoEngine

    if to == "onnx" and precision != "bf16" and find_spec("onnxruntime"):  # which has no bfloat16 on a CPU
        from lungscan.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(network, precision, exported=files[".onnx"])
    own = "int8" if precision == "int8" and network.name == "segmentation" else "fp32"
    return OpenVinoEngine(network, own, exported=files)


def _plans(weights: Weights, precision: str, asked: str | None, folder: Path | None, on: Path | None) -> Exported:
    trt = plan.library()
    sm = plan.target(trt, asked)
    made = {network.name: plan.plan(trt, network, precision, sm) for network in networks(weights)}
    checks: tuple[Check, ...] = ()
    against = ""
    here = gpu()
    if here is not None and sm == f"sm_{here[0]}{here[1]}":
        from lungscan.engines.tensorrt import TensorRtEngine

        ours, theirs = reference(weights), opened(weights, lambda network: TensorRtEngine(network, precision))
        checks, against = judged("tensorrt", precision, ours, theirs, [on]), named(ours)
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
