"""Import of pickled checkpoints: nothing in them is run, and the real ones become a weights file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lungscan import weights
from lungscan.errors import UsageError, WeightsRefused
from lungscan.weights.book import import_checkpoints


class Evil:
    """A pickle that writes a file when it is opened carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    mark, state = tmp_path / "mark", tmp_path / "evil.state"
    torch.save({"model_state": Evil(mark)}, state)
    with pytest.raises(WeightsRefused, match="without running its code"):
        import_checkpoints(state, state, None, tmp_path / "w")
    assert not mark.exists()
    assert not (tmp_path / "w").exists()


def test_a_foreign_checkpoint_is_refused_and_nothing_written(tmp_path: Path) -> None:
    state = tmp_path / "other.state"
    torch.save({"model_state": {"layer.weight": torch.zeros(3)}}, state)
    with pytest.raises(WeightsRefused, match="does not hold the tensors"):
        import_checkpoints(state, state, None, tmp_path / "w")
    assert list(tmp_path.iterdir()) == [state]


def test_a_missing_checkpoint_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint"):
        import_checkpoints(tmp_path / "a", tmp_path / "b", None, tmp_path / "w")


def test_the_books_own_checkpoints_become_a_weights_file(data: Path, tmp_path: Path) -> None:
    (segmentation,), (nodule,) = data.glob("book/seg_*.state"), data.glob("book/cls_*.state")
    import_checkpoints(segmentation, nodule, nodule, tmp_path / "w")
    loaded = weights.load(tmp_path / "w")
    assert (loaded.card.input.spacing_irc_mm, loaded.card.input.window_hu) == (None, (-1000, 1000))
    state = torch.load(nodule, map_location="cpu", weights_only=True)["model_state"]
    assert (loaded.nodule["blocks.3.conv2.weight"] == state["block4.conv2.weight"].numpy()).all()
    up = torch.load(segmentation, map_location="cpu", weights_only=True)["model_state"][
        "unet.up_path.1.conv_block.block.5.running_var"
    ]
    assert (loaded.segmentation["up.1.block.norm2.running_var"] == up.numpy()).all()
