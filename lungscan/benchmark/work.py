"""Something to time: what it does, how its result is judged, and the bytes that it cannot avoid."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Work:
    """`right` says whether a result of `run` is what it should be; `moved_bytes` are the least that it reads and writes.

    on_host : it runs there, whatever the device of the rest
    """

    name: str
    run: Callable[[], Any]
    right: Callable[[Any], bool]
    moved_bytes: int
    on_host: bool = False


def seconds_of(run: Callable[[], Any], device: str) -> float:
    """How long a run takes; on a GPU from the first to the last of what it puts on CuPy's current stream."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    cuda = import_module("cupy").cuda
    begun, ended = cuda.Event(), cuda.Event()
    begun.record()
    run()
    ended.record()
    ended.synchronize()
    return float(cuda.get_elapsed_time(begun, ended)) / 1000
