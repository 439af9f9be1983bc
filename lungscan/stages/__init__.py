"""The stages of a scan, one a file, each usable by itself on typed values; `lungscan.pipeline` puts them in order."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told by a stage how far it is: its name, steps done, steps in all."""


def silent(stage: str, done: int, total: int) -> None:
    """The progress of whoever does not want to know."""
