"""Every engine, precision and device of this machine on one scan, against PyTorch in float32."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lungscan.engines import GPU_ENGINES, open_engine
from lungscan.engines.shared_stream import gpu
from lungscan.errors import EngineUnavailable
from lungscan.parity.gate import Check, Gate, opened
from lungscan.weights import Weights


def verify(weights: Weights, on: Path | None = None) -> tuple[str, Iterator[Check]]:
    """What is the reference, and the check of each engine in turn. `on`: the scan to compare on, a phantom when None."""
    gate = Gate(weights, [on])

    def checks() -> Iterator[Check]:
        for engine, device, precision in _combinations():
            if (engine, device, precision) == (gate.engine, "cpu", "fp32"):
                continue
            try:
                theirs = opened(weights, partial(open_engine, device=device, engine=engine, precision=precision))
            except EngineUnavailable as missing:
                yield Check(engine, device, precision, None, str(missing))
            else:
                yield from gate.judge(engine, precision, theirs)

    return gate.reference, checks()


def _combinations() -> Iterator[tuple[str, str, str]]:
    """Engine, device, precision."""
    yield from (("openvino", "cpu", precision) for precision in ("fp32", "bf16", "int8"))
    yield from ((engine, "cpu", "fp32") for engine in ("onnxruntime", "torch"))
    if gpu() is not None:
        yield from ((engine, "cuda", precision) for engine in GPU_ENGINES for precision in ("fp16", "fp32", "bf16"))
