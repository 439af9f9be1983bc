"""What can go wrong, and the exit code that tells a script.

    LungscanError
    ├── UsageError          2   wrong options, or a path that does not exist
    ├── NotWritten          2   the disk is full, read-only or failing
    ├── InputRefused        3   the input is not a chest CT that can be read rightly
    ├── WeightsRefused      4   the weights file cannot be trusted or does not fit
    └── EngineUnavailable   4   the engine, precision or device cannot serve here

Every message is one sentence: what is wrong, with which file or option, and what to do. The command line shows it in one
place (`lungscan.commands.main`); nothing below it prints.
"""

from __future__ import annotations


class LungscanError(Exception):
    """Base of every failure that lungscan raises on purpose."""

    exit_code = 1


class UsageError(LungscanError):
    """The options or the path given make no sense."""

    exit_code = 2


class NotWritten(LungscanError, OSError):
    """A file or folder cannot be written. Made of an error's number, its reason, and the path."""

    exit_code = 2

    def __str__(self) -> str:
        return (
            f"{self.filename} cannot be written ({self.strerror}); make room there or give another place, then run the same "
            "command again."
        )


class InputRefused(LungscanError):
    """The input cannot be read rightly as one chest CT."""

    exit_code = 3


class WeightsRefused(LungscanError):
    """A weights file is damaged, foreign, or does not fit its card."""

    exit_code = 4


class EngineUnavailable(LungscanError):
    """The engine, precision or device asked for cannot run here."""

    exit_code = 4
