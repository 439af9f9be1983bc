"""Writing so that a crash leaves the old file or the new one, never half of either.

What is not finished has a name of its own, .NAME.xxxxxxxx.lungscan, beside its target. A process that is killed leaves it
there; `lungscan.lock.alone_in` clears it away.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungscan.errors import NotWritten

UNFINISHED = ".lungscan"


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside `path`, flush to the disk, rename, flush the folder, which must exist. Raises NotWritten."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")  # as open makes it: with the user's umask
    with writing(path):
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        flush(path.parent)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def make_folder(folder: Path) -> None:
    """With those above it, where they are missing. Raises NotWritten."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A folder in `folder` to make things in before they are moved; it goes in the end. Raises NotWritten."""
    with writing(folder):
        bench = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=UNFINISHED))
        try:
            yield bench
        finally:
            shutil.rmtree(bench, ignore_errors=True)


def move(made: Path, path: Path) -> None:
    """Flush a file, or a folder with the files in it, and rename it, in place of what is there. Raises NotWritten."""
    with writing(path):
        for file in made.iterdir() if made.is_dir() else ():
            flush(file)
        flush(made)
        if made.is_dir() and path.is_dir():
            path.rename(made.with_name(f"{made.name}.old"))
        made.replace(path)
        flush(path.parent)


def clear(folder: Path) -> None:
    """Remove what killed writers left in a folder. No other process may be writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def flush(path: Path) -> None:
    """A file's content, or what a folder lists, is on the disk."""
    if os.name != "posix":  # Windows cannot open a folder to flush it
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """An OSError meanwhile becomes NotWritten, which names the path."""
    try:
        yield
    except NotWritten:
        raise
    except OSError as error:
        raise NotWritten(error.errno, error.strerror or str(error), str(path)) from error
