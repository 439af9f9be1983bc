"""Bytes of the networks, against the published count of a U-Net of the same shape and a hand-made one of a classifier."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lungscan import traffic
from lungscan.weights.card import Cnn3dCard, UNetCard
from tests.support import small_card


def test_a_unet_of_width_16_moves_157_mb_a_slice() -> None:
    """7 -> 16/32/64 -> 1 at 512 x 512 in float16: 157 MB, counted layer by layer."""
    card = replace(small_card(), segmentation=UNetCard(depth=3, width=16))
    assert traffic.unet(card, 512 * 512, "fp16") == pytest.approx(157e6, rel=0.005)
    assert traffic.unet(card, 512 * 512, "fp32") == 2 * traffic.unet(card, 512 * 512, "fp16")


def test_a_classifier_by_hand() -> None:
    """One block on a crop of 8 x 12 x 12: read 1, written 3, read 3, written 3, read 3, an eighth of 3 written."""
    card = small_card()
    assert traffic.classifier(card, Cnn3dCard(widths=(3,)), 5, "fp32") == 5 * 8 * 12 * 12 * (1 + 4 * 3 + 3 / 8) * 4


def test_the_stages_around_them() -> None:
    assert traffic.resampling((2, 3, 4), (1, 3, 4)) == 2 * (24 + 12)
    assert traffic.grouping((2, 3, 4)) == 96
