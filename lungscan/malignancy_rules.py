"""From readers' ratings to a label: up to four radiologists rate a nodule's malignancy 1 to 5, and a rule decides.

LIDC-IDRI's scale (Armato et al., Medical Physics 38(2), 2011): 1 highly unlikely, 2 moderately unlikely, 3 indeterminate,
4 moderately suspicious, 5 highly suspicious. The ratings are opinions on images, not pathology; every rule below is in
use, they disagree on the same nodules, and so a figure means nothing without its rule's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

SUSPICIOUS = 4
"""The lowest rating that calls a nodule suspicious."""


@dataclass(frozen=True)
class LabelRule:
    """A named rule. `label` gives True (malignant), False (benign) or None (left out) for one nodule's ratings."""

    name: str
    sentence: str
    label: Callable[[Sequence[int]], bool | None]


def two_of_four(ratings: Sequence[int]) -> bool | None:
    """Malignant when at least two of up to four readers gave 4 or 5 (*Deep Learning with PyTorch*, part 2, chapter 14)."""
    return _suspicious(ratings) >= 2 if ratings else None


def mean_over_three(ratings: Sequence[int]) -> bool | None:
    """Malignant when the ratings' mean is over 3, benign when under, left out at exactly 3.

    The average rating cut at 3 is the usual reading of LIDC-IDRI in classification studies, among them Han et al.,
    Journal of Digital Imaging 28(1), 2015.
    """
    if not ratings or mean(ratings) == 3:
        return None
    return mean(ratings) > 3


def any_reader(ratings: Sequence[int]) -> bool | None:
    """Malignant when one reader or more gave 4 or 5: the most sensitive rule."""
    return _suspicious(ratings) >= 1 if ratings else None


def majority(ratings: Sequence[int]) -> bool | None:
    """Malignant when more than half of the readers gave 4 or 5; two of four is not a majority."""
    return 2 * _suspicious(ratings) > len(ratings) if ratings else None


def indeterminate_left_out(ratings: Sequence[int]) -> bool | None:
    """Malignant when the median is 4 or more, benign when 2 or less, left out between: the readers were unsure."""
    if not ratings or 2 < median(ratings) < SUSPICIOUS:
        return None
    return median(ratings) >= SUSPICIOUS


def _suspicious(ratings: Sequence[int]) -> int:
    return sum(rating >= SUSPICIOUS for rating in ratings)


DEFAULT = "two-of-four"

RULES = {
    rule.name: rule
    for rule in (
        LabelRule(DEFAULT, "malignant if at least two of up to four readers rated it 4 or 5", two_of_four),
        LabelRule("mean", "malignant if the readers' mean is over 3, left out at exactly 3", mean_over_three),
        LabelRule("any", "malignant if any reader rated it 4 or 5", any_reader),
        LabelRule("majority", "malignant if more than half of the readers rated it 4 or 5", majority),
        LabelRule(
            "indeterminate-left-out",
            "malignant if the readers' median is 4 or more, benign if 2 or less, left out between",
            indeterminate_left_out,
        ),
    )
}
