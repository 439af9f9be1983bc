"""The rule: what makes a nodule, a suspicious one, a suspicious patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungscan.findings import Candidate, Thresholds
from lungscan.stages.diagnose import Diagnosis, diagnose
from lungscan.volume import Grid

GRID = Grid((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))


def candidate(p_nodule: float, p_malignant: float | None, x: float = 5.0) -> Candidate:
    return Candidate((5.0, 5.0, x), (x, 5.0, 5.0), 9, 9.0, 2.6, ((4, 7), (4, 7), (4, 7)), 0.0, 9, 0.9, p_nodule, p_malignant)


def run(candidates: list[Candidate], nodule: float = 0.5, malignancy: float = 0.5, assessed: bool = True) -> Diagnosis:
    thresholds = Thresholds(0.5, nodule, malignancy)
    return diagnose(candidates, GRID, thresholds, "two-of-four", assesses_malignancy=assessed, file_grid=GRID)


def test_one_nodule_at_the_threshold_makes_the_patient_suspicious() -> None:
    result = run([candidate(0.9, 0.1), candidate(0.5, 0.5)])
    assert result.patient.suspicious is True
    assert result.patient.p_malignant_max == 0.5
    assert [n.suspicious for n in result.nodules] == [True, False]


def test_what_is_no_nodule_says_nothing_of_the_patient() -> None:
    result = run([candidate(0.49, 0.99)])
    assert (result.nodules, result.patient.suspicious) == ((), False)
    assert len(result.candidates) == 1


def test_without_a_malignancy_network_nothing_is_claimed() -> None:
    result = run([candidate(0.9, None)], assessed=False)
    assert (result.patient.suspicious, result.nodules[0].suspicious) == (None, None)


def test_the_rule_behind_the_labels_is_named() -> None:
    assert "at least two" in run([]).patient.rule


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8)


@given(
    scores,
    st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
    st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
)
def test_lower_thresholds_never_remove_a_finding(
    rows: list[tuple[float, float]], nodule: tuple[float, float], malignancy: tuple[float, float]
) -> None:
    candidates = [candidate(p, m, x=float(k)) for k, (p, m) in enumerate(rows)]
    strict = run(candidates, max(nodule), max(malignancy))
    loose = run(candidates, min(nodule), min(malignancy))

    def places(result: Diagnosis, *, suspicious: bool) -> set[tuple[float, ...]]:
        return {n.centre_xyz_mm for n in result.nodules if n.suspicious or not suspicious}

    assert places(strict, suspicious=False) <= places(loose, suspicious=False)
    assert places(strict, suspicious=True) <= places(loose, suspicious=True)
    assert not (strict.patient.suspicious and not loose.patient.suspicious)


def test_indices_are_given_on_the_files_own_grid() -> None:
    file = Grid((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 9.0), np.diag([1.0, 1.0, -1.0]))  # slices go to the feet
    thresholds = Thresholds(0.5, 0.5, 0.5)
    near_feet = Candidate((1.0, 5.0, 5.0), (5.0, 5.0, 1.0), 9, 9.0, 2.6, ((0, 3), (4, 7), (4, 7)), 0.0, 9, 0.9, 0.9, 0.1)
    (n,) = diagnose([near_feet], GRID, thresholds, "two-of-four", assesses_malignancy=True, file_grid=file).nodules
    assert n.centre_irc == pytest.approx((8.0, 5.0, 5.0))
    assert (n.slice, n.box_irc) == (8, ((7, 10), (4, 7), (4, 7)))
