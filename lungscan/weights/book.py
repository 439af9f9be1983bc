"""Import of the checkpoints of *Deep Learning with PyTorch*, part 2, into one weights file.

A checkpoint is a pickle. It is opened only here, by torch with `weights_only` (tensors and plain containers; nothing in it
is executed), in a child process that hands back named arrays; names and shapes are checked before anything is written.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lungscan import weights
from lungscan.errors import EngineUnavailable, UsageError, WeightsRefused
from lungscan.findings import Thresholds
from lungscan.weights.card import Card, Cnn3dCard, GroupingCard, InputCard, UNetCard

TIME_LIMIT_S = 120

_CHILD = """
import sys, numpy, torch
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)["model_state"]
numpy.savez(sys.argv[2], **{str(name): tensor.float().numpy() for name, tensor in state.items()})
"""

# The checkpoint's names, and ours.
_RENAMES = (
    (r"^input_batchnorm\.", "input_norm."),
    (r"^tail_batchnorm\.", "tail_norm."),
    (r"^head_linear\.", "head."),
    (r"^block([1-4])\.", lambda m: f"blocks.{int(m[1]) - 1}."),
    (r"^unet\.down_path\.(\d)\.block\.", r"down.\1."),
    (r"^unet\.up_path\.(\d)\.conv_block\.block\.", r"up.\1.block."),
    (r"^unet\.up_path\.(\d)\.up\.", r"up.\1.up."),
    (r"^unet\.last\.", "last."),
)
_LAYERS = {"0": "conv1", "2": "norm1", "3": "conv2", "5": "norm2"}  # position in the checkpoint's nn.Sequential


def import_checkpoints(segmentation: Path, nodule: Path, malignancy: Path | None, output: Path) -> Card:
    """Write one weights file from the book's checkpoints: native spacing, the book's window, crops and erosion.

    Raises UsageError for a file that is missing, WeightsRefused for one that is not such a checkpoint,
    EngineUnavailable when torch, which alone reads the format, is not installed.
    """
    if find_spec("torch") is None:
        raise EngineUnavailable("checkpoints are read by torch, which is not installed: pip install 'lungscan-ct[train]'.")
    networks = {"segmentation": _read(segmentation), "nodule": _read(nodule)}
    if malignancy is not None:
        networks["malignancy"] = _read(malignancy)
    card = _card(with_malignancy=malignancy is not None)
    weights.save(output, card, networks)
    return card


def _read(path: Path) -> weights.Tensors:
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}.")
    with tempfile.TemporaryDirectory(prefix="lungscan-") as folder:
        arrays = Path(folder) / "tensors.npz"
        try:
            child = subprocess.run(
                [sys.executable, "-c", _CHILD, str(path.resolve()), str(arrays)],
                capture_output=True,
                timeout=TIME_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsRefused(f"{path} could not be read within {TIME_LIMIT_S} s.") from error
        if child.returncode != 0:
            raise WeightsRefused(f"{path} is not a checkpoint of the book that can be read without running its code.")
        with np.load(arrays, allow_pickle=False) as file:
            return {_rename(name): file[name].astype(np.float32) for name in file.files}


def _rename(name: str) -> str:
    for pattern, ours in _RENAMES:
        name = re.sub(pattern, ours, name)
    return re.sub(r"(?<=^down\.\d\.)\d|(?<=^up\.\d\.block\.)\d", lambda m: _LAYERS.get(m[0], m[0]), name)


def _card(*, with_malignancy: bool) -> Card:
    cnn = Cnn3dCard(widths=(8, 16, 32, 64))
    return Card(
        name="deep-learning-with-pytorch",
        input=InputCard(window_hu=(-1000, 1000), spacing_irc_mm=None, context_slices=3, crop_irc=(32, 48, 48)),
        segmentation=UNetCard(depth=3, width=16),
        nodule=cnn,
        malignancy=cnn if with_malignancy else None,
        grouping=GroupingCard(cleanup="erosion", connectivity=6, minimum_mm3=0.0, outline=0.0),
        thresholds=Thresholds(segmentation=0.5, nodule=0.5, malignancy=0.5),
        label_rule="two-of-four",
        about={
            "intended_use": "To run the networks of Deep Learning with PyTorch, part 2, as they were trained.",
            "training": "LUNA16, every tenth series by UID held out; no series are listed in the checkpoints.",
            "licence": "None is stated for the checkpoints: for study, not for passing on.",
            "known_failures": [
                "The erosion deletes nodules that are one or two voxels thick.",
                "Native spacing: slice thickness changes what the networks see.",
            ],
            "command": "lungscan weights import",
        },
    )
