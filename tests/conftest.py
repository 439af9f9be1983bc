"""Shared fixtures. The suite passes without the real scans: what needs them says so and skips."""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real scans and reference figures: $LUNGSCAN_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("LUNGSCAN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans: {folder} does not exist (set LUNGSCAN_DATA)")
    return folder


@pytest.fixture(autouse=True)
def locale_as_it_was() -> Iterator[None]:
    """Some decoders set the process's locale to C, and every file that a later test opens without an encoding is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)
