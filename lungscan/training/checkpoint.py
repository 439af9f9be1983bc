"""What a training needs to go on: one safetensors file, tensors under flat names and facts as JSON in its metadata.

It is written beside and renamed, so a crash at any point leaves the last one whole. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from lungscan import files
from lungscan.errors import UsageError, WeightsRefused

FILE = "checkpoint.safetensors"

Key = Mapping[str, str | int | float]
"""What two trainings must share for one to go on where the other stopped."""


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], key: Key) -> None:
    record = {"facts": facts, "key": dict(key)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    files.make_folder(folder)
    files.write_bytes(folder / FILE, serialise(whole, metadata={"training": json.dumps(record)}))


def load(folder: Path, key: Key) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and facts of the checkpoint in a folder, None where there is none.

    Raises WeightsRefused when it cannot be read, UsageError when it is of another training.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        facts, theirs = record["facts"], record["key"]
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsRefused(f"{path} is no checkpoint that can be read ({error}); remove it to start anew.") from error
    for name in sorted({*key, *theirs}):
        if theirs.get(name) != key.get(name):
            raise UsageError(
                f"{path} is of another training: {name} is {theirs.get(name)} there and {key.get(name)} here; go on as it "
                "began, or give another folder."
            )
    return tensors, facts
