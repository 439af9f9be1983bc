"""How good networks are on scans with known truth: every figure, from what was found in each scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungscan.errors import InputRefused
from lungscan.evaluation.bootstrap import Estimate, draws, interval
from lungscan.evaluation.discrimination import Discrimination, discrimination
from lungscan.evaluation.froc import Froc, froc
from lungscan.evaluation.judged import Judged, p_nodule
from lungscan.evaluation.misses import Stage
from lungscan.evaluation.sizes import Diameters, OfSize, by_size, diameters
from lungscan.evaluation.tables import Places
from lungscan.findings import Candidate, Thresholds
from lungscan.malignancy_rules import RULES
from lungscan.volume import Triple

SAMPLES, SEED = 1000, 0
MEASURED, ANNOTATED = "measured diameter", "annotated diameter"


@dataclass(frozen=True)
class Operating:
    """What the thresholds give; intervals are bootstrapped over scans."""

    nodules: int
    found: int
    false_positives: int
    sensitivity: Estimate
    fp_per_scan: Estimate
    sizes: tuple[OfSize, ...]


@dataclass(frozen=True)
class NoduleRow:
    """A true nodule; what is measured and said is of its most likely candidate, None without any."""

    scan: str
    centre_xyz_mm: Triple
    diameter_mm: float
    found: bool
    lost_by: Stage | None
    measured_mm: float | None
    p_nodule: float | None
    p_malignant: float | None
    malignant: bool | None  # by the label rule; None without ratings, or where the rule leaves it out


@dataclass(frozen=True)
class FalsePositive:
    scan: str
    centre_xyz_mm: Triple
    measured_mm: float
    p_nodule: float


@dataclass(frozen=True)
class Figures:
    """Everything that is judged. What needs positives and negatives is None where there is but one of them.

    nodule     : candidates that lie in a nodule against false ones
    malignancy : marked nodules with ratings, malignant against benign by the rule
    diameters  : of nodules that are found
    """

    scans: int
    patients: int
    thresholds: Thresholds
    label_rule: str
    operating: Operating
    froc: Froc
    nodule: Discrimination | None
    malignancy: Discrimination | None
    diameters: Diameters | None
    nodules: tuple[NoduleRow, ...]
    false_positives: tuple[FalsePositive, ...]


def judge(scans: Sequence[Judged], thresholds: Thresholds, label_rule: str) -> Figures:
    """The figures of scans that were judged one by one, by the same networks or each by those that had not seen it.

    Raises InputRefused when the scans hold no nodule.
    """
    if not any(scan.nodules for scan in scans):
        raise InputRefused(f"the {len(scans)} scans that are judged hold no nodule; judge scans with nodules among them.")
    rows = [row for scan in scans for row in _rows(scan, thresholds, label_rule)]
    patient = [scan.patient for scan in scans for _ in scan.nodules]
    return Figures(
        scans=len(scans),
        patients=len({scan.patient for scan in scans}),
        thresholds=thresholds,
        label_rule=label_rule,
        operating=_operating(scans, thresholds),
        froc=_froc(scans),
        nodule=_nodule(scans),
        malignancy=_malignancy(rows, patient),
        diameters=_diameters(rows, patient),
        nodules=tuple(rows),
        false_positives=tuple(
            FalsePositive(scan.name, c.centre_xyz_mm, c.diameter_mm, p_nodule(c))
            for scan in scans
            for c in scan.false_positives(thresholds.nodule)
        ),
    )


def _rows(scan: Judged, thresholds: Thresholds, label_rule: str) -> list[NoduleRow]:
    lost = scan.lost or (None,) * len(scan.nodules)
    return [
        NoduleRow(
            scan.name,
            nodule.centre_xyz_mm,
            nodule.diameter_mm,
            bool(found),
            stage,
            None if best is None else best.diameter_mm,
            None if best is None else best.p_nodule,
            None if best is None else best.p_malignant,
            RULES[label_rule].label(nodule.ratings),
        )
        for nodule, best, found, stage in zip(scan.nodules, scan.best, scan.found(thresholds.nodule), lost, strict=True)
    ]


def _operating(scans: Sequence[Judged], thresholds: Thresholds) -> Operating:
    hits = [scan.found(thresholds.nodule) for scan in scans]
    wrong = [scan.false_positives(thresholds.nodule) for scan in scans]
    nodules, found = np.array([len(of_scan) for of_scan in hits]), np.array([of_scan.sum() for of_scan in hits])
    false = np.array([len(of_scan) for of_scan in wrong])
    drawn = list(draws(len(scans), SAMPLES, SEED))
    shares = np.array([(times @ found) / (times @ nodules) for times in drawn if times @ nodules])
    rates = np.array([(times @ false) / len(scans) for times in drawn])
    return Operating(
        nodules=int(nodules.sum()),
        found=int(found.sum()),
        false_positives=int(false.sum()),
        sensitivity=Estimate(float(found.sum() / nodules.sum()), interval(shares)),
        fp_per_scan=Estimate(float(false.mean()), interval(rates)),
        sizes=by_size(
            np.array([n.diameter_mm for scan in scans for n in scan.nodules]),
            np.concatenate(hits),
            np.array([c.diameter_mm for of_scan in wrong for c in of_scan]),
        ),
    )


def _froc(scans: Sequence[Judged]) -> Froc:
    """Every candidate is a mark, P(nodule) its score."""
    nodules = _places([[(n.centre_xyz_mm, n.diameter_mm) for n in scan.nodules] for scan in scans])
    ignored = _places([[(n.centre_xyz_mm, n.diameter_mm) for n in scan.ignored] for scan in scans])
    marks = _places([[(c.centre_xyz_mm, p_nodule(c)) for c in scan.candidates] for scan in scans])
    return froc([scan.name for scan in scans], nodules, ignored, marks, samples=SAMPLES, seed=SEED)


def _places(of_scans: Sequence[Sequence[tuple[Triple, float]]]) -> Places:
    scan = np.repeat(np.arange(len(of_scans)), [len(rows) for rows in of_scans])
    rows = [(*xyz, value) for of_scan in of_scans for xyz, value in of_scan]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Places(scan.astype(np.intp), table[:, :3], table[:, 3])


def _nodule(scans: Sequence[Judged]) -> Discrimination | None:
    """Every candidate that is right or wrong, whatever its score."""
    sure: list[tuple[Candidate, bool, str]] = []
    for scan in scans:
        right = np.asarray(scan.hits.any(axis=0))
        rows = zip(scan.candidates, right.tolist(), (right | scan.false).tolist(), strict=True)
        sure += [(c, hit, scan.patient) for c, hit, counts in rows if counts]
    return discrimination(
        np.array([p_nodule(c) for c, _, _ in sure]),
        np.array([hit for _, hit, _ in sure], bool),
        [patient for _, _, patient in sure],
        {MEASURED: np.array([c.diameter_mm for c, _, _ in sure])},
        samples=SAMPLES,
        seed=SEED,
    )


def _malignancy(rows: Sequence[NoduleRow], patient: Sequence[str]) -> Discrimination | None:
    rated = [(r, p) for r, p in zip(rows, patient, strict=True) if r.malignant is not None and r.p_malignant is not None]
    return discrimination(
        np.array([r.p_malignant for r, _ in rated], np.float64),
        np.array([r.malignant for r, _ in rated], bool),
        [p for _, p in rated],
        {
            ANNOTATED: np.array([r.diameter_mm for r, _ in rated]),
            MEASURED: np.array([r.measured_mm for r, _ in rated], np.float64),
        },
        samples=SAMPLES,
        seed=SEED,
    )


def _diameters(rows: Sequence[NoduleRow], patient: Sequence[str]) -> Diameters | None:
    found = [(r, p) for r, p in zip(rows, patient, strict=True) if r.found]
    measured, annotated = (np.array([getattr(r, mm) for r, _ in found]) for mm in ("measured_mm", "diameter_mm"))
    return diameters(measured, annotated, [p for _, p in found], samples=SAMPLES, seed=SEED)
