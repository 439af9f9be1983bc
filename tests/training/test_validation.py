"""Validations of networks whose answers are known, counted once more by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lungscan.training import crop_validation, slice_validation
from lungscan.training.cache import Cache
from lungscan.training.crop_validation import CropValidation
from lungscan.training.samples import CROP_MARGIN_IRC, Crops
from lungscan.training.slice_validation import SliceValidation
from tests.training import balls


class Dense(nn.Module):
    """A voxel of the focus slice is a nodule's if it is dense: over -400 HU."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.01))

    def forward(self, hu: Tensor) -> Tensor:
        return (hu[:, hu.shape[1] // 2, None] + 400) * self.scale


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(balls.make(tmp_path_factory.mktemp("validation") / "cache", scans=3))


def test_a_threshold_finds_every_ball_and_every_wall(cache: Cache) -> None:
    """Walls are false voxels, but no false marks: they are not lung."""
    entries = cache.entries()
    judge = SliceValidation(cache, entries[:2], entries[2:], balls.card())
    found = judge(Dense())
    dense = nodule = 0
    for entry, i in judge.sets["validation"]:
        hu, _, label = cache.maps(entry)
        dense, nodule = dense + int((hu[i] > -400).sum()), nodule + int((label[i] > 0).sum())
    f = found.figures
    assert f["validation/recall"] == 1
    assert f["validation/precision"] == pytest.approx(nodule / dense)
    assert f["validation/F1"] == pytest.approx(2 * nodule / (nodule + dense))
    assert f["validation/negatives"] == len(judge.sets["validation"]) * balls.SHAPE[1] * balls.SHAPE[2] - nodule
    assert found.score == (1.0, f["validation/F1"])
    scores, truth = found.curves["validation marks"]
    assert truth.all()
    assert (scores > 0.9).all()


def test_every_nodule_and_the_lungs_between_are_looked_at(cache: Cache) -> None:
    entries = cache.entries()
    places = SliceValidation(cache, entries, entries[:1], balls.card()).sets["validation"]
    assert len(set(places)) == len(places)
    for entry in entries:
        slices = [i for e, i in places if e == entry]
        label, lungs = cache.maps(entry)[2], cache.maps(entry)[1]
        for number in range(1, len(entry.nodules) + 1):
            assert (label[slices] == number).any()
        assert all(lungs[i].any() for i in slices)


def test_many_slices_are_thinned(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_validation, "MOST_SLICES", {"validation": 5, "training": 2})
    sets = SliceValidation(cache, cache.entries(), cache.entries(), balls.card()).sets
    assert [len(sets[name]) for name in ("validation", "training")] == [5, 2]
    assert {entry.name for entry, _ in sets["validation"]} == {"ball-0", "ball-1", "ball-2"}


def crops(value: list[float], positive: list[bool]) -> Crops:
    """Crops of one density each."""
    size = [n + m for n, m in zip(balls.card().input.crop_irc, CROP_MARGIN_IRC, strict=True)]
    hu = np.broadcast_to(np.array(value, np.int16)[:, None, None, None, None], (len(value), 1, *size)).copy()
    patient, source = (np.full(len(value), name) for name in ("somebody", "real"))
    return Crops(hu, np.array(positive), np.ones(len(value), np.float32), patient, source)


class Density(nn.Module):
    """P(positive) is a half at -400 HU, and more in what is denser."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.01))

    def forward(self, hu: Tensor) -> Tensor:
        logit = (hu.mean((1, 2, 3, 4)) + 400) * self.scale
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def test_a_classifier_is_counted_by_class() -> None:
    hu, positive = [-800.0, -500.0, -350.0, -300.0, 0.0, 100.0], [False, True, False, True, True, True]
    found = CropValidation(crops(hu, positive), crops(hu[:2], positive[:2]), balls.card(), 0.5)(Density())
    f = found.figures
    pairs = [
        (a > b) + (a == b) / 2
        for a, p in zip(hu, positive, strict=True)
        if p
        for b, q in zip(hu, positive, strict=True)
        if not q
    ]
    assert f["validation/AUC"] == pytest.approx(np.mean(pairs))
    assert (f["validation/positives right"], f["validation/positives"]) == (3, 4)
    assert (f["validation/negatives right"], f["validation/negatives"]) == (1, 2)
    assert f["validation/precision"] == pytest.approx(3 / 4)
    logit = (np.array(hu) + 400) / 100
    loss = np.mean(np.log1p(np.exp(np.where(positive, -logit, logit))))
    assert f["validation/loss"] == pytest.approx(loss, rel=1e-5)
    assert found.score == pytest.approx((f["validation/AUC"], -loss))
    assert f["training/AUC"] == 1


def test_without_one_of_the_classes_the_loss_decides() -> None:
    found = CropValidation(crops([0.0], [True]), crops([0.0], [True]), balls.card(), 0.5)(Density())
    assert "validation/AUC" not in found.figures
    assert found.score[0] == 0
    assert not found.curves


def test_many_crops_are_thinned_class_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_validation, "MOST_CROPS", 10)
    positive = [k % 5 == 0 for k in range(40)]
    kept = CropValidation(crops([0.0] * 40, positive), crops([0.0], [True]), balls.card(), 0.5).sets["validation"]
    assert (int(kept.positive.sum()), int((~kept.positive).sum())) == (2, 8)
