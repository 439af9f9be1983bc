"""What a validation counts, as pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.training.cache import IGNORED

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MARK = 0.1
"""Least probability of a mark."""

APART = 9  # voxels: a mark is the highest in a square of so many, 11 mm of the usual grid

FALSE_PER_SLICE = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""What the classifier can clear up: 20 to 150 false marks in a scan of 150 slices."""


@dataclass(frozen=True)
class Counts:
    """Right and wrong of positives and of negatives."""

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int

    @classmethod
    def of(cls, found: Mask, truth: Mask) -> Counts:
        """Of two masks (...)."""
        tp, positives, said, size = int((found & truth).sum()), int(truth.sum()), int(found.sum()), truth.size
        return cls(tp, positives - tp, size - positives - (said - tp), said - tp)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
            self.false_positives + other.false_positives,
        )

    @property
    def positives(self) -> int:
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        return self.true_negatives + self.false_positives

    def figures(self) -> dict[str, float]:
        """Recall, precision and F1 (that is Dice; 0 where nothing is found), and the correct of each class and of all."""
        tp, said = self.true_positives, self.true_positives + self.false_positives
        return {
            "recall": tp / max(self.positives, 1),
            "precision": tp / max(said, 1),
            "F1": 2 * tp / max(said + self.positives, 1),
            "positives right": tp,
            "positives": self.positives,
            "negatives right": self.true_negatives,
            "negatives": self.negatives,
            "right": (tp + self.true_negatives) / max(self.positives + self.negatives, 1),
        }


@dataclass(frozen=True)
class Marks:
    """What stands out in a slice: the highest probability in each of its nodules, and that of each false mark."""

    nodules: Floats
    false: Floats


def marks(p: npt.NDArray[np.float32], label: npt.NDArray[np.uint8], lungs: Mask) -> Marks:
    """Of a slice (R,C). A false mark lies in the lungs, and not so near to a nodule or ignored voxel that it may be its."""
    numbers = [number for number in np.unique(label) if number not in (0, IGNORED)]
    nodules = np.array([p[label == number].max() for number in numbers], np.float64)
    highest = (p > MARK) & (p == ndimage.maximum_filter(p, APART)) & lungs & ~ndimage.maximum_filter(label > 0, APART)
    plateau, count = ndimage.label(highest, np.ones((3, 3)))
    false = np.asarray(ndimage.maximum(p, plateau, range(1, count + 1)), np.float64)
    return Marks(nodules, false)


def marked(found: Sequence[Marks]) -> float:
    """The share of the slices' nodules that are marked at 1/8, 1/4, 1/2 and 1 false marks a slice: the mean of the four.

    The threshold lets through as many false marks as the rate allows and no more. NaN without nodules.
    """
    nodules, false = (np.concatenate([getattr(one, part) for one in found]) for part in ("nodules", "false"))
    falling = np.append(np.sort(false)[::-1], MARK)
    least = [falling[min(int(rate * len(found)), len(false))] for rate in FALSE_PER_SLICE]
    return float(np.mean([np.mean(nodules > p) for p in least])) if len(nodules) else float("nan")
