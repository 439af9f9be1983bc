"""A weights file that is not what it should be ends the command with one sentence; networks hold all that they need."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file, save_file

from lungscan import weights
from lungscan.commands import main
from lungscan.parity.gate import networks
from lungscan.weights import shipped


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """The shipped file with other tensors, its hash made to fit them."""
    tensors, card = load_file(shipped()), weights.load(shipped()).card
    change(tensors)
    raw = {**json.loads(card.to_json()), "sha256": weights.digest(card, tensors)}
    save_file(tensors, path, {"card": json.dumps(raw)})


def cut(path: Path) -> None:
    path.write_bytes(shipped().read_bytes()[:-1000])


def changed(path: Path) -> None:
    """One bit of the last tensor."""
    content = bytearray(shipped().read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))


def endless(path: Path) -> None:
    """A header that claims more than there is."""
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def pickled(path: Path) -> None:
    torch.save({"model_state": torch.zeros(3)}, path)


def onnx_network(path: Path) -> None:
    path.write_bytes(next(networks(weights.load(shipped()))).onnx)


def of_another_program(path: Path) -> None:
    save_file({"layer.weight": np.zeros((3, 3), np.float32)}, path)


def not_a_number(path: Path) -> None:
    rewritten(path, lambda tensors: tensors["nodule.head.bias"].fill(np.nan))


def infinite(path: Path) -> None:
    rewritten(path, lambda tensors: tensors["segmentation.last.bias"].fill(np.inf))


def wrong_shape(path: Path) -> None:
    rewritten(path, lambda tensors: tensors.update({"nodule.head.bias": np.zeros(3, np.float32)}))


def wrong_network(path: Path) -> None:
    """The classifier's tensors under names of their own, as another network would have them."""
    rewritten(path, lambda tensors: tensors.update({"nodule.other.bias": tensors.pop("nodule.head.bias")}))


DAMAGES = (
    *(cut, changed, foreign, endless, pickled, onnx_network),
    *(of_another_program, not_a_number, infinite, wrong_shape, wrong_network),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_it_is_refused_in_one_sentence(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.safetensors"
    damage(path)
    monkeypatch.setattr(sys, "argv", ["lungscan", "scan", str(tmp_path / "no-scan.mhd"), "--weights", str(path)])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (4, "")
    assert len(err.splitlines()) == 1
    assert str(path) in err


def test_a_network_holds_all_its_numbers() -> None:
    """ONNX may leave tensors to files beside it, which whoever moves the file would choose."""
    for network in networks(weights.load(shipped())):
        model = onnx.load_from_string(network.onnx)
        onnx.checker.check_model(model)
        assert model.graph.initializer
        for tensor in model.graph.initializer:
            assert tensor.data_location != onnx.TensorProto.EXTERNAL
            assert not tensor.external_data
