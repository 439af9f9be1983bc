"""Each step of a piece of work towards the disk, counted: the n-th one fails, or the process dies before it is done.

A step is a write (half of which is done first), a flush, a rename, a folder made, a name removed.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

MADE = ("fsync", "replace", "rename", "mkdir")
REMOVED = ("unlink", "rmdir")


class Killed(BaseException):
    """What is left of the process: nothing catches it, and what is cleaned up as it passes is not looked at."""


class Steps:
    """`done` steps so far; before step number `at` comes `strike`."""

    def __init__(self, at: int, strike: Callable[[], None]) -> None:
        self.done, self._at, self._strike = 0, at, strike

    @property
    def struck(self) -> bool:
        return self.done >= self._at

    def __call__(self, half: Callable[[], object] = lambda: None) -> None:
        self.done += 1
        if self.done == self._at:
            half()
            self._strike()


class _Written:
    """A file open for writing."""

    def __init__(self, file: Any, step: Steps) -> None:
        self._file, self._step = file, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._step(half)
        return self._file.write(data)


@contextmanager
def counted(names: tuple[str, ...], at: int, strike: Callable[[], None]) -> Iterator[Steps]:
    step = Steps(at, strike)
    plain, opened = {name: getattr(os, name) for name in names}, io.open

    def of(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            step()
            return plain[name](*arguments, **named)

        return call

    def open_(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        made = opened(file, mode, *arguments, **named)
        return _Written(made, step) if set(mode) & set("wxa+") else made

    with mock.patch.multiple(os, **{name: of(name) for name in names}), mock.patch.object(io, "open", open_):
        yield step


@contextmanager
def failing(at: int, number: int) -> Iterator[Steps]:
    """Step `at` fails with an error number of the system."""

    def strike() -> None:
        raise OSError(number, os.strerror(number))

    with counted(MADE, at, strike) as steps:
        yield steps


@contextmanager
def killed(at: int, folder: Path, left: Path) -> Iterator[Steps]:
    """kill -9 before step `at`: `left` is made, what a process that worked in `folder` leaves there."""

    def strike() -> None:
        shutil.copytree(folder, left, symlinks=True)
        raise Killed

    with counted((*MADE, *REMOVED), at, strike) as steps:
        try:
            yield steps
        except Killed:
            return


def visible(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path, but those that are not finished."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items() if not any(p.startswith(".") for p in name.parts)}


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
