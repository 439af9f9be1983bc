"""Runtimes that tell their makers of being used, loaded so that they tell nobody.

OpenVINO and nncf report through `openvino_telemetry` (Google Analytics) when they are imported; where it is not installed
they use stubs of their own. onnxruntime reports to Microsoft by itself, unless a variable forbids it when it is loaded.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

_REPORTER = "openvino_telemetry"
_SWITCH = "ORT_DISABLE_TELEMETRY"
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def unreported() -> Iterator[None]:
    """What is imported within reports nothing. Afterwards modules and environment are those of before."""
    with _ONE_AT_A_TIME, _held(sys.modules, _REPORTER, None), _held(os.environ, _SWITCH, "1"):
        yield


@contextmanager
def _held(table: MutableMapping[str, Any], key: str, value: Any) -> Iterator[None]:
    """An entry of a table for a while. None in `sys.modules` is a module that cannot be imported."""
    had, before = key in table, table.get(key)
    table[key] = value
    try:
        yield
    finally:
        if had:
            table[key] = before
        else:
            del table[key]
