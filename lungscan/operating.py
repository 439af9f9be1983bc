"""The thresholds of a scan: the user's, else the card's; the nodule threshold also by its false positives a scan."""

from __future__ import annotations

from lungscan.errors import UsageError, WeightsRefused
from lungscan.findings import OperatingFacts, Thresholds
from lungscan.settings import Settings
from lungscan.weights.card import Card, OperatingPoint


def thresholds(card: Card, settings: Settings) -> Thresholds:
    """What a voxel, a nodule and a suspicious nodule must reach. Raises as `point` does."""
    at, own = point(card, settings), card.thresholds
    nodule = settings.threshold_nodule if at is None else at.threshold_nodule
    return Thresholds(
        segmentation=_first(settings.threshold_segmentation, own.segmentation),
        nodule=_first(nodule, own.nodule),
        malignancy=_first(settings.threshold_malignancy, own.malignancy),
    )


def point(card: Card, settings: Settings) -> OperatingPoint | None:
    """Of the card's points that give at most `fp_per_scan` the one that gives the most; None when no rate is asked for.

    Nothing is interpolated: each point is what validation measured at one threshold. Raises WeightsRefused when the card
    has no points, UsageError for a rate outside those measured.
    """
    rate, points = settings.fp_per_scan, card.operating_points
    if rate is None:
        return None
    if not points:
        raise WeightsRefused(
            f"the weights {card.name} do not tell their false positives a scan; give --threshold-nodule instead."
        )
    least, most = points[0].fp_per_scan, points[-1].fp_per_scan
    if not least <= rate <= most:
        raise UsageError(
            f"--fp-per-scan {rate:g}: the weights {card.name} were measured at {least:g} to {most:g} false positives "
            "a scan; give a number between these."
        )
    return max((p for p in points if p.fp_per_scan <= rate), key=lambda p: (p.fp_per_scan, p.sensitivity))


def facts(card: Card, settings: Settings) -> OperatingFacts | None:
    """What the report says of it."""
    at = point(card, settings)
    if at is None or settings.fp_per_scan is None:
        return None
    return OperatingFacts(settings.fp_per_scan, at.fp_per_scan, at.sensitivity)


def _first(asked: float | None, own: float) -> float:
    return own if asked is None else asked
