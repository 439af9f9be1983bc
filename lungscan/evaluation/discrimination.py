"""How well a probability tells two classes apart beside simpler scores, and whether it is one to be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.evaluation.bootstrap import Estimate, interval
from lungscan.evaluation.calibration import Reliability, brier, reliability
from lungscan.evaluation.roc import Roc, auc, bootstrap_auc, corners, roc
from lungscan.volume import Array

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Beside:
    """Another score of the same candidates; `difference` is the network's area minus this one's, patients drawn together."""

    name: str
    auc: Estimate
    difference: Estimate
    curve: Roc


@dataclass(frozen=True)
class Discrimination:
    """Areas with intervals bootstrapped over patients; Brier's score beside that of the positives' share said of all."""

    positives: int
    negatives: int
    patients: int
    auc: Estimate
    curve: Roc
    beside: tuple[Beside, ...]
    brier: float
    brier_of_share: float
    reliability: Reliability


def discrimination(
    probability: Array, positive: Mask, patient: Sequence[str], others: Mapping[str, Array], *, samples: int, seed: int
) -> Discrimination | None:
    """For probabilities (N,), truth (N,), patients (N,) and other scores (N,) by name; None with one class alone."""
    if positive.all() or not positive.any():
        return None
    scores = [probability, *others.values()]
    areas = [auc(score, positive) for score in scores]
    drawn = bootstrap_auc(scores, positive, np.asarray(patient), samples=samples, seed=seed)
    beside = tuple(
        Beside(
            name,
            Estimate(areas[k], interval(drawn[:, k])),
            Estimate(areas[0] - areas[k], interval(drawn[:, 0] - drawn[:, k])),
            corners(roc(score, positive)),
        )
        for k, (name, score) in enumerate(others.items(), start=1)
    )
    return Discrimination(
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        patients=len(set(patient)),
        auc=Estimate(areas[0], interval(drawn[:, 0])),
        curve=corners(roc(probability, positive)),
        beside=beside,
        brier=brier(probability, positive),
        brier_of_share=brier(np.full(len(positive), positive.mean()), positive),
        reliability=reliability(probability, positive),
    )
