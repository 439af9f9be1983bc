"""Batches: a function of seed, step and rank; a crop's middle is what the classifier will see in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lungscan.kernels.crop import crops

from lungscan.training.augment import Augmentation
from lungscan.training.cache import IGNORED, Cache, Entry, Nodule
from lungscan.training.samples import CROP_MARGIN_IRC, BalancedCrops, Crops, Stacks, Turns, middle
from lungscan.weights.card import Card
from tests.support import small_card

STILL = Augmentation(mirror=False, shift_voxels=0, scale=0, turn=0, noise_hu=0)
SHAPE = (14, 40, 44)


@pytest.fixture
def card() -> Card:
    card = small_card()
    return replace(card, input=replace(card.input, spacing_irc_mm=(2.0, 1.25, 1.25), crop_irc=(6, 8, 8), crop_scales=(1, 2)))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 400, SHAPE).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    label[5:8, 10:14, 20:24] = 1
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    nodules = (Nodule((27.0, 14.0, 12.0), 5.0, (4, 5)),)
    entry = Entry("scan", "anna", "0" * 16, (2.0, 1.25, 1.25), (0.0, 0.0, 0.0), axes, SHAPE, nodules)
    made = Cache(tmp_path)
    made.write(entry, hu, np.ones(SHAPE, bool), label)
    return made


def test_a_batch_depends_on_seed_step_and_rank_alone(cache: Cache, card: Card) -> None:
    one, again = (Stacks(cache, cache.entries(), card, 16, 4, Augmentation(), seed=3) for _ in range(2))
    again.batch(0)
    for a, b in zip(one.batch(7), again.batch(7), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.batch(7)[0], one.batch(8)[0])
    assert not torch.equal(one.batch(7)[0], one.batch(7, rank=1)[0])


def test_a_stack_shows_the_slices_about_its_label(cache: Cache, card: Card) -> None:
    """Every unmoved stack is found in the volume, with the label of its middle slice."""
    hu, _, label = cache.maps(cache.entries()[0])
    x, y = Stacks(cache, cache.entries(), card, 8, 16, STILL, seed=0).batch(0)
    assert (y == 1).any()
    found = 0
    for stack, truth in zip(x.numpy().astype(int), y.numpy(), strict=True):
        if (truth == IGNORED).any():
            continue
        places = np.argwhere(hu == stack[3, 4, 4])
        fits = [
            (i, r, c)
            for i, r, c in places
            if 3 <= i < SHAPE[0] - 3
            and 4 <= r <= SHAPE[1] - 4
            and 4 <= c <= SHAPE[2] - 4
            and np.array_equal(np.clip(hu[i - 3 : i + 4, r - 4 : r + 4, c - 4 : c + 4], -1000, 400), stack)
        ]
        for i, r, c in fits:
            np.testing.assert_array_equal(label[i, r - 4 : r + 4, c - 4 : c + 4], truth)
            found += 1
    assert found


def test_what_lies_outside_a_volume_is_ignored(cache: Cache, card: Card) -> None:
    _, y = Stacks(cache, cache.entries(), card, 64, 4, STILL, seed=0).batch(0)
    outside = (y == IGNORED).float().mean(dim=(1, 2))
    least = 1 - SHAPE[1] * SHAPE[2] / 64**2
    assert (outside >= least - 1e-6).all()


def test_the_middle_of_a_sample_is_the_crop_of_the_pipeline(cache: Cache, card: Card) -> None:
    entry = cache.entries()[0]
    centre = np.array([[7.0, 20.0, 22.0]])
    sample = Crops.around(cache, entry, card, centre, np.array([True]), np.ones(1, np.float32))
    hu = np.asarray(cache.maps(entry)[0])
    in_use = crops(hu, centre, card.input.crop_irc, card.input.crop_scales, "repeat")
    np.testing.assert_array_equal(middle(sample, card).numpy()[0, 0], in_use[0, 0])
    np.testing.assert_array_equal(middle(sample, card).numpy()[0, 1], in_use[0, 1])


def samples(card: Card, positives: int, negatives: int) -> Crops:
    """Every crop is of one density: that of its row."""
    count = positives + negatives
    shape = [2, *(n + m for n, m in zip(card.input.crop_irc, CROP_MARGIN_IRC, strict=True))]
    hu = np.broadcast_to(np.arange(count, dtype=np.int16)[:, None, None, None, None], (count, *shape))
    text = np.full(count, "real")
    return Crops(hu, np.arange(count) < positives, np.ones(count, np.float32), text, text)


def test_half_of_a_batch_is_positive_and_weights_say_how_often(card: Card) -> None:
    weight = np.array([1.0, 3.0, 1.0, 1.0, 0.0])
    sampler = BalancedCrops(samples(card, 2, 3), weight, card, 40, STILL, seed=0)
    rows = np.concatenate([sampler.batch(step)[0][:, 0, 0, 0, 0].round().int().numpy() for step in range(50)])
    share = np.bincount(rows, minlength=5) / len(rows)
    np.testing.assert_allclose(share, [1 / 8, 3 / 8, 1 / 4, 1 / 4, 0], atol=0.03)
    x, y = sampler.batch(3)
    assert torch.equal(y == 1, x[:, 0, 0, 0, 0].round() < 2)


def test_targets_of_readers_who_do_not_agree(card: Card) -> None:
    said = torch.tensor([[0.3, 0.7], [0.9, 0.1]])
    sampler = BalancedCrops(samples(card, 1, 1), np.ones(2), card, 8, STILL, seed=0, target=said)
    x, y = sampler.batch(0)
    torch.testing.assert_close(y, said[x[:, 0, 0, 0, 0].round().long()])


def test_samplers_take_turns(card: Card) -> None:
    a, b = (BalancedCrops(samples(card, 1, 1), np.ones(2), card, size, STILL, seed=0) for size in (4, 6))
    turns = Turns((a, b))
    assert [len(turns.batch(step)[0]) for step in range(4)] == [4, 6, 4, 6]
