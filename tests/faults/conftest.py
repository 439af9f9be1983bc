"""Commands that start at once, and what they work on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import commands
from tests.faults.zygote import Zygote, zygote


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run: the inputs of `tests.faults.commands`."""
    folder = tmp_path_factory.mktemp("faults")
    commands.make(folder)
    return folder


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with zygote(tmp_path_factory.mktemp("xdg")) as made:
        yield made
