"""Every engine, precision and device of this machine on one scan, against PyTorch in float32."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lungscan.engines import GPU_ENGINES, open_engine
from lungscan.engines.shared_stream import gpu
from lungscan.errors import EngineUnavailable
from lungscan.parity.compare import compare
from lungscan.parity.gate import Check, examined, named, opened, reference, specimen
from lungscan.pipeline import examine_volume
from lungscan.settings import Settings
from lungscan.weights import Weights


def verify(weights: Weights, on: Path | None = None) -> tuple[str, Iterator[Check]]:
    """What is the reference, and the check of each engine in turn. `on`: the scan to compare on, a phantom when None."""
    ours, volume = reference(weights), specimen(on)
    first = (ours.segmentation.name, "cpu", "fp32")

    def checks() -> Iterator[Check]:
        expected = examined(volume, ours)
        for engine, device, precision in _combinations():
            if (engine, device, precision) == first:
                continue
            try:
                theirs = opened(weights, partial(open_engine, device=device, engine=engine, precision=precision))
            except EngineUnavailable as missing:
                yield Check(engine, device, precision, None, str(missing))
                continue
            found = examine_volume(volume, theirs, Settings())
            yield Check(engine, device, precision, compare(expected, found, precision), scan=on.name if on else "phantom")

    return named(ours), checks()


def _combinations() -> Iterator[tuple[str, str, str]]:
    """Engine, device, precision."""
    yield from (("openvino", "cpu", precision) for precision in ("fp32", "bf16", "int8"))
    yield from ((engine, "cpu", "fp32") for engine in ("onnxruntime", "torch"))
    if gpu() is not None:
        yield from ((engine, "cuda", precision) for engine in GPU_ENGINES for precision in ("fp16", "fp32", "bf16"))
