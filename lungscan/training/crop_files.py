"""Crops on the disk: made once, so that a training that goes on, and every process of one, learns from the very same."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from lungscan import files
from lungscan.training import devices
from lungscan.training.samples import Crops


def held(path: Path, make: Callable[[], Crops]) -> Crops:
    """The crops in `path`, an `.npz` of the fields of `Crops`; made and written by the first process if it is not there."""
    if devices.rank() == 0 and not path.is_file():
        buffer = io.BytesIO()
        np.savez(buffer, **vars(make()))
        files.write_bytes(path, buffer.getvalue())
    devices.wait()
    with np.load(path, allow_pickle=False) as arrays:
        return Crops(*(arrays[field.name] for field in fields(Crops)))
