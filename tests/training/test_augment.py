"""A mark moves with the image: each move against a hand-made image whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from lungscan.training.augment import Augmentation, draw, moved, noisy

STILL = Augmentation(mirror=False, shift_voxels=0, scale=0, turn=0, noise_hu=0)


def augmented(
    hu: torch.Tensor, label: torch.Tensor | None, size: int, how: Augmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor | None]:
    moves = draw(len(hu), how, generator)
    mark = None if label is None else moved(label[:, None].float(), moves, size, nearest=True)[:, 0].to(torch.uint8)
    return noisy(moved(hu, moves, size), how, generator), mark


def blob(row: float, column: float, size: int = 65, sigma: float = 2.0) -> torch.Tensor:
    r, c = np.mgrid[:size, :size]
    return torch.from_numpy(np.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sigma**2)).astype(np.float32))


def centre(image: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(v) for v in ndimage.center_of_mass(image.numpy()))


def test_nothing_asked_changes_nothing() -> None:
    hu = torch.randn(3, 7, 20, 20)
    label = torch.randint(0, 3, (3, 20, 20), dtype=torch.uint8)
    moved, mark = augmented(hu, label, 20, STILL, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved, hu, atol=1e-4, rtol=0)
    assert mark is not None
    assert torch.equal(mark, label)


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(mirror=False, shift_voxels=6, scale=0, turn=0, noise_hu=0),
        Augmentation(mirror=False, shift_voxels=0, scale=0.3, turn=0, noise_hu=0),
        Augmentation(mirror=False, shift_voxels=0, scale=0, turn=0.5, noise_hu=0),
        Augmentation(mirror=True, shift_voxels=0, scale=0, turn=0, noise_hu=0),
        Augmentation(noise_hu=0),
    ],
)
def test_the_label_goes_where_the_image_goes(how: Augmentation) -> None:
    image = blob(24, 41)
    hu = image.expand(16, 7, 65, 65)
    moved, label = augmented(hu, (image > 0.5).to(torch.uint8).expand(16, 65, 65), 65, how, torch.Generator().manual_seed(4))
    assert label is not None
    for k in range(16):
        assert centre(label[k].float()) == pytest.approx(centre(moved[k, 3] * (moved[k, 3] > 0.5)), abs=0.5)


def test_a_turn_keeps_the_distance_from_the_middle_and_a_shift_its_bound() -> None:
    hu = blob(32, 48).expand(32, 1, 65, 65)
    turned, _ = augmented(hu, None, 65, Augmentation(False, 0, 0, 0.5, 0), torch.Generator().manual_seed(1))
    places = np.array([centre(t[0]) for t in turned])
    np.testing.assert_allclose(np.hypot(*(places - 32).T), 16, atol=0.2)
    assert np.ptp(np.arctan2(*(places - 32).T)) > np.pi
    shifted, _ = augmented(hu, None, 65, Augmentation(False, 5, 0, 0, 0), torch.Generator().manual_seed(1))
    moves = np.array([centre(t[0]) for t in shifted]) - (32, 48)
    assert 3 < np.abs(moves).max() <= 5.01


def test_scaling_scales_the_distance_from_the_middle() -> None:
    hu = blob(32, 42).expand(64, 1, 65, 65)
    scaled, _ = augmented(hu, None, 65, Augmentation(False, 0, 0.2, 0, 0), torch.Generator().manual_seed(2))
    away = np.array([centre(t[0])[1] - 32 for t in scaled]) / 10
    assert 0.8 - 0.01 <= away.min() < 0.85
    assert 1.15 < away.max() <= 1.2 + 0.01


def test_mirroring_takes_left_for_right() -> None:
    hu = blob(32, 42).expand(32, 1, 65, 65)
    mirrored, _ = augmented(hu, None, 65, Augmentation(True, 0, 0, 0, 0), torch.Generator().manual_seed(3))
    columns = {round(centre(t[0])[1]) for t in mirrored}
    assert columns == {22, 42}


def test_noise_has_the_asked_strength() -> None:
    moved, _ = augmented(
        torch.zeros(64, 1, 32, 32), None, 32, Augmentation(False, 0, 0, 0, 30), torch.Generator().manual_seed(5)
    )
    deviation = moved.std(dim=(1, 2, 3))
    assert deviation.max() < 31
    assert float(deviation.mean()) == pytest.approx(15, abs=3)


def test_the_same_seed_moves_alike() -> None:
    a, b = (draw(8, Augmentation(), torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(a.linear, b.linear)
    assert torch.equal(a.shift, b.shift)


def test_a_coarser_image_moves_by_the_same_millimetres() -> None:
    """One grid has voxels twice as wide as the other: a mark ends at the same distance from the middle in both."""
    moves = draw(16, Augmentation(True, 6, 0.2, 0.5, 0), torch.Generator().manual_seed(6))
    fine, coarse = blob(40, 26, 64, sigma=3).expand(16, 1, 64, 64), blob(19.75, 12.75, 32, sigma=1.5).expand(16, 1, 32, 32)
    for a, b in zip(moved(fine, moves, 64), moved(coarse, moves, 32, coarser=2), strict=True):
        at, half = np.array(centre(a[0])), np.array(centre(b[0]))
        np.testing.assert_allclose(at - 31.5, (half - 15.5) * 2, atol=0.3)


def test_slices_are_turned_upside_down_half_of_the_time() -> None:
    hu = torch.arange(3.0)[None, :, None, None].expand(64, 3, 8, 8)
    first = moved(hu, draw(64, Augmentation(True, 0, 0, 0, 0), torch.Generator().manual_seed(7)), 8)[:, 0, 0, 0]
    assert set(first.tolist()) == {0.0, 2.0}
    assert 20 < int((first == 2).sum()) < 44


def test_an_offset_moves_all_densities_alike() -> None:
    hu = noisy(torch.zeros(64, 1, 4, 4), Augmentation(noise_hu=0, offset_hu=40), torch.Generator().manual_seed(8))
    assert float(hu.std(dim=(1, 2, 3)).max()) == 0
    assert -40 <= float(hu.min()) < -25 < 25 < float(hu.max()) <= 40
