"""Seconds a stage. On a GPU they are told by events on its stream, which nobody waits for before the result is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class Clock:
    """`with clock("segment"): ...` times a stage; a stage begun again starts anew."""

    def __init__(self) -> None:
        self._host: dict[str, float] = {}
        self._events: dict[str, tuple[Any, Any]] = {}
        self._event: Callable[[], Any] | None = None
        self._started = time.perf_counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun, start = self._mark(), time.perf_counter()
        yield
        self._host[stage] = time.perf_counter() - start
        if begun is not None:
            self._events[stage] = begun, self._mark()

    @contextmanager
    def on_gpu(self) -> Iterator[None]:
        """Stages inside are queued on CuPy's current stream, and timed there."""
        cupy = import_module("cupy")

        def event() -> Any:
            made = cupy.cuda.Event()
            made.record()
            return made

        self._event = event
        try:
            yield
        finally:
            self._event = None

    def _mark(self) -> Any:
        return None if self._event is None else self._event()

    def seconds(self) -> dict[str, float]:
        """By stage; of the GPU for what was queued on one, which must be done with it."""
        out = dict(self._host)
        if self._events:
            elapsed = import_module("cupy").cuda.get_elapsed_time
            out |= {stage: elapsed(*ends) / 1000 for stage, ends in self._events.items()}
        return out

    def total(self) -> float:
        return time.perf_counter() - self._started
