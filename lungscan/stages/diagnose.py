"""Candidates → nodules and the result for the patient, by a rule that the report names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lungscan.findings import Candidate, Nodule, Patient, Thresholds
from lungscan.malignancy_rules import RULES
from lungscan.volume import Grid


@dataclass(frozen=True)
class Diagnosis:
    nodules: tuple[Nodule, ...]  # the most likely malignant first
    candidates: tuple[Nodule, ...]  # every candidate in the same form
    patient: Patient


def diagnose(
    candidates: Sequence[Candidate],
    on: Grid,
    thresholds: Thresholds,
    label_rule: str,
    *,
    assesses_malignancy: bool,
    file_grid: Grid,
) -> Diagnosis:
    """A candidate at or over the nodule threshold is a nodule; a nodule at or over the malignancy threshold is suspicious;
    a patient is suspicious when a nodule is.

    on        : the grid of the candidates' indices
    file_grid : the grid on which the result gives them
    """
    ranked = sorted(candidates, key=lambda c: (-(c.p_malignant or 0.0), -(c.p_nodule or 0.0), c.centre_xyz_mm))
    rows = [_row(k, c, on, file_grid, thresholds, assesses_malignancy) for k, c in enumerate(ranked, start=1)]
    nodules = [row for row in rows if row.p_nodule >= thresholds.nodule]
    return Diagnosis(tuple(nodules), tuple(rows), _patient(nodules, thresholds, label_rule, assesses_malignancy))


def _row(id_: int, c: Candidate, on: Grid, file_grid: Grid, thresholds: Thresholds, assessed: bool) -> Nodule:
    p_nodule = c.p_nodule or 0.0
    i, r, col = (float(v) for v in file_grid.irc(c.centre_xyz_mm))
    suspicious = p_nodule >= thresholds.nodule and (c.p_malignant or 0.0) >= thresholds.malignancy
    return Nodule(
        id=id_,
        centre_irc=(i, r, col),
        centre_xyz_mm=c.centre_xyz_mm,
        slice=min(max(round(i), 0), file_grid.shape[0] - 1),
        diameter_mm=c.diameter_mm,
        volume_mm3=c.volume_mm3,
        box_irc=file_grid.cover(c.box_irc, on),
        hu_mean=c.hu_mean,
        hu_max=c.hu_max,
        p_segmentation=c.p_segmentation,
        p_nodule=p_nodule,
        p_malignant=c.p_malignant,
        suspicious=suspicious if assessed else None,
    )


def _patient(nodules: Iterable[Nodule], thresholds: Thresholds, label_rule: str, assessed: bool) -> Patient:
    if not assessed:
        return Patient(None, None, "malignancy is not assessed: the weights hold no network for it")
    highest = max((n.p_malignant for n in nodules if n.p_malignant is not None), default=None)
    rule = (
        f"suspicious when a nodule has P(malignant) >= {thresholds.malignancy:g}; "
        f"the network learned malignant as: {RULES[label_rule].sentence}"
    )
    return Patient(highest is not None and highest >= thresholds.malignancy, highest, rule)
