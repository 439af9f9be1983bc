"""The interpreter's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.kernels import interpreter


@pytest.fixture(scope="session")
def interpreted() -> Iterator[Callable[..., Any]]:
    """`interpreted(function, *arguments, part=slices)`: the function's result where NumPy arrays among its arguments are
    arrays on a GPU, the first of them a part of itself, and Triton is interpreted."""
    pytest.importorskip("triton", reason="no Triton here: pip install triton")
    with ProcessPoolExecutor(1, get_context("spawn"), interpreter.start) as process:

        def run(function: Any, *arguments: Any, part: tuple[slice, ...] = ()) -> Any:
            return process.submit(interpreter.call, function, arguments, part).result()

        yield run
