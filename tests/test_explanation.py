"""The funnel for one place, on an examination made by hand: 2 x 1 x 1 mm voxels, two blobs in the heatmap, a box of lung."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungscan.errors import UsageError
from lungscan.explanation import Explanation, explain
from lungscan.findings import Candidate, CandidateCounts, Nodule, Thresholds
from lungscan.pipeline import Examination
from lungscan.report.sample import sample_report
from lungscan.stages.lungs import Lungs
from lungscan.stages.segment import Heatmap
from lungscan.volume import Box, Grid, Source, Volume, triple
from tests.support import small_card

GRID = Grid((20, 40, 60), (2.0, 1.0, 1.0), (-30.0, -20.0, 100.0), np.eye(3))
HEATMAP_BOX: Box = ((0, 20), (0, 40), (0, 50))
NODULE: Box = ((5, 8), (10, 14), (10, 14))
VESSEL: Box = ((12, 14), (20, 24), (30, 34))
CLEANED: Box = ((2, 3), (35, 36), (5, 6))
OUTSIDE: Box = ((17, 18), (5, 6), (45, 46))


def cut(box: Box) -> tuple[slice, ...]:
    return tuple(slice(low, high) for low, high in box)


def place(box: Box) -> tuple[float, float, float]:
    """Patient mm of a box's centre voxel, by hand: X = -30 + C, Y = -20 + R, Z = 100 + 2 I."""
    i, r, c = ((low + high - 1) // 2 for low, high in box)
    return (-30.0 + c, -20.0 + r, 100.0 + 2 * i)


def candidate(box: Box, p_nodule: float, p_malignant: float | None) -> Candidate:
    centre = triple([(low + high - 1) / 2 for low, high in box])
    voxels = int(np.prod([high - low for low, high in box]))
    mm3 = 2.0 * voxels
    diameter = (6 * mm3 / np.pi) ** (1 / 3)
    return Candidate(centre, triple(GRID.xyz(centre)), voxels, mm3, diameter, box, -20.0, 90, 0.9, p_nodule, p_malignant)


def row(k: int, c: Candidate) -> Nodule:
    figures = (c.diameter_mm, c.volume_mm3, c.box_irc, c.hu_mean, c.hu_max, c.p_segmentation)
    return Nodule(
        k, c.centre_irc, c.centre_xyz_mm, round(c.centre_irc[0]), *figures, c.p_nodule or 0.0, c.p_malignant, False
    )


@pytest.fixture
def examination() -> Examination:
    hu = np.full(GRID.shape, -850, np.int16)
    hu[cut(NODULE)] = 37
    values = np.zeros([high - low for low, high in HEATMAP_BOX], np.float32)
    for box in (NODULE, VESSEL, CLEANED, OUTSIDE):
        values[cut(box)] = 0.9
    inside = np.zeros(GRID.shape, bool)
    inside[:, :, :40] = True
    candidates = (candidate(VESSEL, 0.1, None), candidate(NODULE, 0.8, 0.3))
    rows = (row(1, candidates[1]), row(2, candidates[0]))
    report = sample_report()
    report = replace(
        report,
        nodules=rows[:1],
        candidates=CandidateCounts(2, 1, rows),
        settings=replace(report.settings, thresholds=Thresholds(0.5, 0.6, 0.7)),
    )
    volume = Volume(hu, GRID, Source("made.mhd", "metaio", "1.2.3"))
    heatmap = Heatmap(values, HEATMAP_BOX, GRID.part(HEATMAP_BOX))
    return Examination(volume, volume, Lungs(inside, GRID, 3000.0), heatmap, candidates, None, report, small_card())


def gates(explanation: Explanation) -> dict[str, bool | None]:
    return {step.gate: step.passed for step in explanation.steps}


def test_a_nodule_passes_every_gate(examination: Examination) -> None:
    told = explain(examination, place(NODULE))
    assert told.stopped_at is None
    assert told.candidate == 1
    assert gates(told) == {
        "density": None,
        "lungs": True,
        "heatmap": True,
        "component": True,
        "P(nodule)": True,
        "P(malignant)": False,
    }
    assert told.verdict == "kept as finding 1, not suspicious"
    steps = {step.gate: step for step in told.steps}
    assert steps["density"].value == 37
    assert (steps["P(nodule)"].value, steps["P(nodule)"].threshold) == (0.8, 0.6)
    assert (steps["P(malignant)"].value, steps["P(malignant)"].threshold) == (0.3, 0.7)
    assert "48 voxels, 96 mm3, 5.7 mm across" in steps["component"].finding


def test_a_vessel_is_dropped_by_the_classifier(examination: Examination) -> None:
    told = explain(examination, place(VESSEL))
    assert (told.candidate, told.stopped_at) == (2, "P(nodule)")
    assert "P(malignant)" not in gates(told)


def test_the_highest_probability_counts_within_five_millimetres(examination: Examination) -> None:
    """The nodule's first column is C = 10, at X = -20; four and six millimetres to its right."""
    _, y, z = place(NODULE)
    near, far = explain(examination, (-24.0, y, z)), explain(examination, (-26.0, y, z))
    assert (near.candidate, near.stopped_at) == (1, None)
    step = {s.gate: s for s in near.steps}["component"]
    assert step.value == pytest.approx(4.0)
    assert "begins 4.0 mm away" in step.finding
    assert (far.candidate, far.stopped_at) == (None, "heatmap")
    assert {s.gate: s for s in far.steps}["component"].value == pytest.approx(6.0)


def test_what_was_cleaned_up_stops_at_the_component(examination: Examination) -> None:
    told = explain(examination, place(CLEANED))
    assert told.stopped_at == "component"
    assert gates(told)["heatmap"] is True
    assert "none left within 5 mm" in told.verdict


def test_outside_the_lungs_the_gate_is_named_first(examination: Examination) -> None:
    assert explain(examination, place(OUTSIDE)).stopped_at == "lungs"
    assert explain(replace(examination, lungs=None), place(OUTSIDE)).stopped_at == "component"


def test_outside_the_heatmap_the_probability_is_zero(examination: Examination) -> None:
    """Column 57 lies past the heatmap's last, 49."""
    told = explain(replace(examination, lungs=None), (27.0, 0.0, 120.0))
    assert told.stopped_at == "heatmap"
    assert {s.gate: s for s in told.steps}["heatmap"].value == 0.0


def test_outside_the_scan_it_says_where_the_scan_is(examination: Examination) -> None:
    with pytest.raises(UsageError, match=r"spans -30.0,-20.0,100.0 to 29.0,19.0,138.0 mm"):
        explain(examination, (0.0, 0.0, 99.0 - 2))
    explain(examination, (0.0, 0.0, 99.5))  # half a slice belongs to the first


def test_the_threshold_itself(examination: Examination) -> None:
    """A voxel must be over the segmentation threshold; P(nodule) and P(malignant) pass at theirs."""
    t = Thresholds(segmentation=0.5, nodule=0.8, malignancy=0.3)
    settings = replace(examination.report.settings, thresholds=t)
    told = explain(replace(examination, report=replace(examination.report, settings=settings)), place(NODULE))
    assert told.verdict == "kept as finding 1, suspicious"


def test_indices_are_those_of_the_file(examination: Examination) -> None:
    """The file's slices run from head to feet; the stages' from feet to head."""
    volume = examination.volume
    direction = np.diag([1.0, 1.0, -1.0])
    grid = Grid(GRID.shape, GRID.spacing_irc_mm, (-30.0, -20.0, 138.0), direction)
    turned = replace(volume, hu=volume.hu[::-1], grid=grid)
    told = explain(replace(examination, volume=turned), place(NODULE))
    assert told.at_irc == pytest.approx((19 - 6, 11, 11))
    assert told.steps[0].value == 37


def test_no_candidates_at_all(examination: Examination) -> None:
    empty = replace(examination.report, nodules=(), candidates=CandidateCounts(0, 0, ()))
    told = explain(replace(examination, candidates=(), report=empty), place(NODULE))
    assert told.stopped_at == "component"


def test_without_a_malignancy_network_nothing_is_claimed(examination: Examination) -> None:
    rows = tuple(replace(r, p_malignant=None, suspicious=None) for r in examination.report.candidates.all)
    report = replace(examination.report, candidates=CandidateCounts(2, 1, rows))
    told = explain(replace(examination, report=report), place(NODULE))
    assert told.verdict == "kept as finding 1; malignancy is not assessed"
