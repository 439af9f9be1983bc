"""One process a folder: a file in it that its process holds locked, with the process's number for whoever comes second.

The system lets go of the lock however its process ends, so a killed one keeps nobody out. Windows has no flock: there nobody
is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from lungscan import files
from lungscan.errors import UsageError

FILE = ".lock"


@contextmanager
def alone_in(folder: Path, told: str | None = None, *, option: str = "-o") -> Iterator[None]:
    """Hold a folder, which must exist, and begin by clearing away what killed writers left in it.

    told, option : what the user knows the folder as, and how it was given

    Raises UsageError while another process holds it, NotWritten where it cannot be locked.
    """
    if os.name != "posix":
        yield
        return
    path = folder / FILE
    with files.writing(folder):
        held = _held(path)
    if isinstance(held, str):
        raise UsageError(
            f"another lungscan (process {held}) is writing into {told or folder}; wait for it, or give another {option}."
        )
    with held:
        with files.writing(folder):
            held.truncate(0)
            held.write(str(os.getpid()).encode())
            files.clear(folder)
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _held(path: Path) -> FileIO | str:
    """The file, open and locked, or the number of the process that holds it."""
    import fcntl

    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                return file
        except BlockingIOError:
            with file:
                file.seek(0)
                return file.read(20).decode("ascii", "replace") or "unknown"
        except OSError:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: FileIO) -> bool:
    """Whether it still lies there: whoever held it before us has removed it as it ended."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
