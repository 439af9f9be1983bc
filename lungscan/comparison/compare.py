"""Two examined scans of one patient → what became of each nodule.

lungs aligned → nodules paired one to one → each one's change measured
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lungscan.clinical.history import DAYS_A_MONTH, Prior
from lungscan.clinical.measure import MeasuredNodule, NoduleMeasures
from lungscan.clinical.nodules import measured_rows
from lungscan.comparison.changes import Change, Seen, State, changed
from lungscan.comparison.dates import days_between
from lungscan.comparison.pairing import Pairing, pair
from lungscan.comparison.registration import Alignment, align
from lungscan.findings import Nodule
from lungscan.stages.lungs import find_lungs
from lungscan.stages.outline import Examined
from lungscan.volume import Grid, Notice, Point, Volume

SLICE_DIFFERENCE_MM = 0.1
"""Slices that differ by more are of another thickness, not of another rounding."""


@dataclass(frozen=True)
class Comparison:
    """Two scans side by side: changes in the order of the newer report, then what it no longer shows.

    days       : between the scans, None when not known
    guidelines : what Lung-RADS and Fleischner need to know of the earlier scan
    """

    prior_path: str
    now_path: str
    days: float | None
    alignment: Alignment
    changes: tuple[Change, ...]
    warnings: tuple[Notice, ...]
    guidelines: Prior


def compare(prior: Examined, now: Examined, months: float | None = None) -> Comparison:
    """What became of each nodule between two scans; `months` in place of the dates in their files.

    Raises InputRefused when the scans cannot be aligned, UsageError when their dates run backwards. The alignment
    takes about 4 s of processor time.
    """
    days = days_between(prior.volume.source, now.volume.source, months)
    alignment = _aligned(prior.volume, now.volume)
    pairing = pair(prior.report, now.report, alignment)
    was = _Side.of(prior, [*pairing.gone, *(p for p, _ in pairing.pairs)])
    is_ = _Side.of(now, [*pairing.new, *(n for _, n in pairing.pairs)])

    changes = [changed(was.seen[p.id], is_.seen[n.id], _apart_mm(alignment, p, n), days) for p, n in pairing.pairs]
    for n in pairing.new:
        inside = _reaches(prior.volume.grid, alignment.back(n.centre_xyz_mm))
        changes.append(Change(State.new if inside else State.outside, None, is_.seen[n.id], n.centre_xyz_mm))
    for p in pairing.gone:
        x, y, z = alignment(p.centre_xyz_mm).tolist()
        inside = _reaches(now.volume.grid, (x, y, z))
        changes.append(Change(State.gone if inside else State.outside, was.seen[p.id], None, (x, y, z)))
    return Comparison(
        prior_path=prior.volume.source.path,
        now_path=now.volume.source.path,
        days=days,
        alignment=alignment,
        changes=tuple(sorted(changes, key=_order)),
        warnings=tuple(_warnings(prior.volume, now.volume, days, changes)),
        guidelines=_guidelines(changes, pairing, was, days),
    )


@dataclass(frozen=True)
class _Side:
    """Rows of one scan by their numbers: measured, and as a change shows them."""

    measured: dict[int, MeasuredNodule]
    seen: dict[int, Seen]

    @classmethod
    def of(cls, examined: Examined, rows: Sequence[Nodule]) -> _Side:
        measured = {m.id: m for m in measured_rows(examined, rows)}
        nodules = {n.id for n in examined.report.nodules}
        return cls(measured, {row.id: _seen(row, measured[row.id], row.id not in nodules) for row in rows})


def _seen(row: Nodule, measured: MeasuredNodule, faint: bool) -> Seen:
    m = measured.measures
    return Seen(
        id=row.id,
        slice=row.slice,
        centre_xyz_mm=row.centre_xyz_mm,
        kind=m.kind,
        long_mm=m.axes.long_mm,
        short_mm=m.axes.short_mm,
        mean_mm=m.mean_mm,
        diameter_mm=m.diameter_mm,
        volume_mm3=m.volume_mm3,
        p_nodule=row.p_nodule,
        p_malignant=row.p_malignant,
        faint=faint,
    )


def _aligned(prior: Volume, now: Volume) -> Alignment:
    first, second = prior.canonical(), now.canonical()
    return align(first, find_lungs(first), second, find_lungs(second))


def _apart_mm(alignment: Alignment, prior: Nodule, now: Nodule) -> float:
    return float(np.linalg.norm(alignment(prior.centre_xyz_mm) - now.centre_xyz_mm))


def _reaches(grid: Grid, xyz: Point) -> bool:
    index = grid.irc(xyz)
    return bool(((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all())


def _guidelines(changes: Sequence[Change], pairing: Pairing, was: _Side, days: float | None) -> Prior:
    before: dict[int, NoduleMeasures | None] = {n.id: was.measured[p.id].measures for p, n in pairing.pairs}
    before |= {c.now.id: None for c in changes if c.state is State.new and c.now is not None}
    return Prior(None if days is None else days / DAYS_A_MONTH, before)


def _order(change: Change) -> tuple[bool, int]:
    """The newer report's nodules by their numbers, then the earlier one's."""
    if change.now is not None and not change.now.faint:
        return False, change.now.id
    return True, 0 if change.prior is None else change.prior.id


def _warnings(prior: Volume, now: Volume, days: float | None, changes: Sequence[Change]) -> Iterator[Notice]:
    first, second = (v.canonical().grid.spacing_irc_mm[0] for v in (prior, now))
    if abs(first - second) > SLICE_DIFFERENCE_MM:
        yield Notice(
            "slice_thickness",
            f"slices are {first:g} mm apart in the earlier scan and {second:g} mm in the newer one: a change of size may be "
            "the scanner's, not the nodule's.",
        )
    if days is None:
        yield Notice(
            "no_interval",
            "the files do not tell the time between the scans: give it in months for doubling times.",
        )
    if any(change.state in (State.growing, State.shrinking) for change in changes):
        yield Notice(
            "outlines_vary",
            "the limit of 25 % was set for volumetry software; the networks' outlines vary more, so look at both scans.",
        )
