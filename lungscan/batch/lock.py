"""One batch a folder: a file that its process holds locked, with the process's number for whoever comes second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungscan.errors import EngineUnavailable, UsageError


@contextmanager
def locked(path: Path, outputs: str) -> Iterator[None]:
    """The system lets go of the lock however its process ends. Raises UsageError while another process holds it."""
    try:
        import fcntl
    except ImportError as error:
        raise EngineUnavailable("lungscan batch needs a system with flock: Linux or macOS.") from error

    with path.open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid = file.read(20).decode("ascii", "replace") or "unknown"
            raise UsageError(
                f"another lungscan batch (process {pid}) is writing into {outputs}; wait for it, or give another -o."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        try:
            yield
        finally:
            file.truncate(0)
