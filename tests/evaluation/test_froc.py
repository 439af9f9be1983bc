"""LUNA16's protocol against the official script's own figures, and against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lungscan.errors import InputRefused, UsageError
from lungscan.evaluation.froc import Froc, froc, match
from lungscan.evaluation.tables import Places, read_places, read_series


def places(*rows: tuple[int, float, float]) -> Places:
    """Points on the X axis: scan, x in mm, value."""
    table = np.asarray(rows, dtype=float).reshape(-1, 3)
    xyz = np.zeros((len(table), 3))
    xyz[:, 0] = table[:, 1]
    return Places(table[:, 0].astype(np.intp), xyz, table[:, 2])


@pytest.fixture(scope="module")
def official(data: Path) -> dict[str, object]:
    return json.loads((data / "evaluation" / "expected.json").read_text())


@pytest.fixture(scope="module")
def ours(data: Path) -> Froc:
    folder = data / "evaluation"
    series = read_series(folder / "seriesuids.csv")
    tables = [("annotations", "diameter_mm"), ("annotations_excluded", "diameter_mm"), ("predictions", "probability")]
    return froc(series, *(read_places(folder / f"{name}.csv", series, value) for name, value in tables))


def test_sensitivities_are_the_official_ones(ours: Froc, official: dict[str, object]) -> None:
    assert ours.rates == tuple(official["rates"])
    assert ours.sensitivities == pytest.approx(official["sensitivities"], abs=5e-7)
    assert ours.cpm == pytest.approx(official["cpm"], abs=5e-7)


@pytest.mark.parametrize(
    "name",
    [
        "true_positives",
        "false_positives",
        "false_negatives",
        "candidates",
        "nodules",
        "ignored_on_excluded",
        "double_detections_ignored",
    ],
)
def test_counts_are_the_official_ones(ours: Froc, official: dict[str, object], name: str) -> None:
    assert getattr(ours.counts, name) == official[name]


def test_intervals_are_the_official_ones_within_the_noise_of_the_draws(ours: Froc, official: dict[str, object]) -> None:
    low, high = zip(*ours.intervals, strict=True)
    assert low == pytest.approx(official["bootstrap_95_lower"], abs=0.01)
    assert high == pytest.approx(official["bootstrap_95_upper"], abs=0.01)
    assert ours.cpm_interval[0] < ours.cpm < ours.cpm_interval[1]


def test_misses_are_what_the_last_sensitivity_leaves_out(ours: Froc) -> None:
    assert len(ours.misses) == round((1 - ours.sensitivities[-1]) * ours.counts.nodules)
    assert sum(miss.best_score is None for miss in ours.misses) == ours.counts.false_negatives


def test_a_mark_on_the_surface_is_no_hit() -> None:
    nodule = places((0, 0, 10))
    assert match(1, nodule, places(), places((0, 5, 0.9))).counts.true_positives == 0
    assert match(1, nodule, places(), places((0, 4.999, 0.9))).counts.true_positives == 1


def test_the_best_of_a_nodule_s_marks_counts_and_the_others_are_neither_right_nor_wrong() -> None:
    matched = match(1, places((0, 0, 10)), places(), places((0, 1, 0.2), (0, 2, 0.7), (0, -1, 0.4)))
    assert matched.best.tolist() == [0.7]
    assert (matched.counts.double_detections_ignored, matched.counts.false_positives) == (2, 0)


def test_a_mark_in_two_nodules_finds_both() -> None:
    counts = match(1, places((0, 0, 10), (0, 6, 10)), places(), places((0, 3, 0.5))).counts
    assert (counts.true_positives, counts.double_detections_ignored) == (2, 0)


def test_an_excluded_finding_without_a_diameter_has_ten_millimetres() -> None:
    counts = match(1, places(), places((0, 0, -1)), places((0, 4.9, 0.5), (0, 5.1, 0.5))).counts
    assert (counts.ignored_on_excluded, counts.false_positives) == (1, 1)


def test_what_lies_in_a_nodule_and_an_excluded_finding_is_a_hit() -> None:
    counts = match(1, places((0, 0, 10)), places((0, 0, 10)), places((0, 0, 0.5))).counts
    assert (counts.true_positives, counts.ignored_on_excluded) == (1, 0)


def test_marks_of_another_scan_do_not_count() -> None:
    assert match(2, places((0, 0, 10)), places(), places((1, 0, 0.5))).counts.false_positives == 1


def test_a_scan_keeps_what_is_over_the_hundred_and_first_score() -> None:
    marks = [(0, 1000.0 + k, 1 - k / 1000) for k in range(150)]
    assert match(1, places(), places(), places(*marks)).counts.candidates == 100
    tied = [(scan, x, 0.5 if k >= 60 else score) for k, (scan, x, score) in enumerate(marks)]
    assert match(1, places(), places(), places(*tied)).counts.candidates == 60
    assert match(1, places(), places(), places(*tied[:100])).counts.candidates == 100


def test_the_curve_by_hand() -> None:
    """Four scans with one nodule each, scores .9 (hit), .8 (false), .7 (hit), .6 (false), .6 (hit); one is missed."""
    nodules = places((0, 0, 10), (1, 0, 10), (2, 0, 10), (3, 0, 10))
    marks = places((0, 0, 0.9), (0, 50, 0.8), (1, 0, 0.7), (1, 50, 0.6), (2, 0, 0.6))
    result = froc(["a", "b", "c", "d"], nodules, places(), marks, samples=20)
    # false positives, hits: (0,0) (0,1) (1,1) (1,2) (2,3); the rates are 1/2, 1, 2, 4, ... false positives in all
    assert result.sensitivities == pytest.approx([1 / 4, 2 / 4, 3 / 4, 3 / 4, 3 / 4, 3 / 4, 3 / 4])
    assert result.thresholds == (0.9, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6)
    assert [(miss.series, miss.best_score) for miss in result.misses] == [("d", None)]


def test_a_false_positive_that_scores_highest_leaves_no_threshold_at_low_rates() -> None:
    result = froc(["a", "b"], places((0, 0, 10)), places(), places((0, 50, 0.9), (0, 0, 0.5)), samples=5)
    assert result.thresholds == (None, None, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert result.sensitivities == (0, 0, 1, 1, 1, 1, 1)


def test_a_draw_of_the_best_scans_alone_needs_the_whole_ranking() -> None:
    """All false positives over the nodule's score lie in scan 1; drawing scan 0 twice finds the nodule without any."""
    marks = places(*((1, 100 + 20.0 * k, 0.9 - k / 1000) for k in range(40)), (0, 0, 0.1))
    matched = match(2, places((0, 0, 10)), places(), marks)
    assert matched.sensitivities(np.array([2, 0])).tolist() == [1] * 7
    assert matched.sensitivities(np.array([1, 1])).tolist() == [0] * 7


def test_nothing_marked_is_nothing_found() -> None:
    result = froc(["a"], places((0, 0, 10)), places(), places(), samples=5)
    assert (result.cpm, len(result.misses)) == (0.0, 1)
    assert result.intervals == ((0.0, 0.0),) * 7


def test_the_same_seed_gives_the_same_intervals_and_identical_scans_give_none() -> None:
    nodules, marks = places(*((k, 0, 10) for k in range(9))), places(*((k, 0, 0.5) for k in range(9)))
    names = [str(k) for k in range(9)]
    assert froc(names, nodules, places(), marks, seed=3) == froc(names, nodules, places(), marks, seed=3)
    assert froc(names, nodules, places(), marks).cpm_interval == (1.0, 1.0)


def test_no_nodule_is_no_sensitivity() -> None:
    with pytest.raises(InputRefused, match="no nodule"):
        froc(["a"], places(), places(), places((0, 0, 0.5)))


def test_tables_are_refused_with_their_line(tmp_path: Path) -> None:
    table = tmp_path / "marks.csv"
    table.write_text("seriesuid,coordX,coordY,coordZ,probability\na,1,2,3,0.5\na,1,2,x,0.5\n")
    with pytest.raises(InputRefused, match=r"marks\.csv, line 3"):
        read_places(table, ["a"], "probability")
    with pytest.raises(InputRefused, match=r"marks\.csv, line 1: there is no column diameter_mm"):
        read_places(table, ["a"], "diameter_mm")
    with pytest.raises(UsageError, match=r"no file .*gone\.csv"):
        read_places(tmp_path / "gone.csv", ["a"], "probability")
    table.write_text("seriesuid\na\nb\na\n")
    with pytest.raises(InputRefused, match=r"line 4: the series a stands there twice"):
        read_series(table)


def test_rows_of_scans_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    table = tmp_path / "marks.csv"
    table.write_text("probability,coordZ,coordY,coordX,seriesuid\n0.5,3,2,1,b\n0.25,6,5,4,a\n")
    read = read_places(table, ["x", "b"], "probability")
    assert (read.scan.tolist(), read.xyz_mm.tolist(), read.value.tolist()) == ([1], [[1, 2, 3]], [0.5])
