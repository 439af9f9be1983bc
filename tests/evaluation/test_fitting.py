"""What a card learns of unseen patients: operating points counted by hand, lines against maximum likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from lungscan.evaluation.calibration import fit_line
from lungscan.evaluation.fitting import fit_nodule, operating_points
from lungscan.findings import Candidate
from tests.evaluation.hand_made import candidate, nodule, scan


def test_operating_points_counted_by_hand() -> None:
    """Two scans with false marks at .9 .8 .7 and .6 .3; nodules found at .95, .75 and .1, and one in a block at .65."""
    a = scan("a", [nodule(0, 10), nodule(100, 10)], [candidate(0, 0.95), candidate(100, 0.75), *_false(0.9, 0.8, 0.7)])
    b = scan("b", [nodule(0, 10)], [candidate(0, 0.1), *_false(0.6, 0.3)])
    block = scan("c", [nodule(0, 10)], [candidate(0, 0.65), *_false(0.99)])  # its false marks do not count
    points = {p.fp_per_scan: p for p in operating_points([a, b], [block])}
    # none allowed: over .9; one in two scans: over .8; two: over .7
    assert [round(points[rate].threshold_nodule, 6) for rate in (0.0, 0.5, 1.0, 2.0)] == [0.9, 0.8, 0.7, 0.3]
    assert [points[rate].sensitivity for rate in (0.0, 0.5, 1.0, 2.0)] == [1 / 4, 1 / 4, 2 / 4, 3 / 4]
    assert list(points) == sorted(points)


def _false(*scores: float) -> list[Candidate]:
    return [candidate(500.0 + 50 * k, p) for k, p in enumerate(scores)]


def test_the_line_is_the_maximum_of_the_likelihood() -> None:
    """Against a general minimiser, without Platt's targets: so many rows that they do not matter."""
    rng = np.random.default_rng(0)
    design = np.column_stack([rng.normal(size=(4000, 2)), np.ones(4000)])
    positive = rng.random(4000) < 1 / (1 + np.exp(-design @ [1.5, -0.7, -1.0]))
    weight = rng.uniform(0.5, 2, 4000)

    def loss(line: np.ndarray) -> float:
        value = design @ line
        return float(weight @ (np.logaddexp(0, value) - positive * value))

    best = minimize(loss, np.zeros(3)).x
    np.testing.assert_allclose(fit_line(design, positive, weight), best, atol=0.02)


def test_false_marks_of_blocks_do_not_calibrate() -> None:
    rng = np.random.default_rng(1)
    scans = [
        scan(
            f"s{k}",
            [nodule(0, 10)],
            [candidate(0, float(rng.uniform(0.3, 1))), *_false(*rng.uniform(0, 0.6, 20))],
        )
        for k in range(20)
    ]
    block = scan("b", [], _false(*rng.uniform(0.9, 1, 50)))
    line = fit_nodule(scans)
    assert line == fit_nodule(scans, [block])
    p = [line(c.p_nodule or 0, c.p_segmentation, c.diameter_mm) for s in scans for c in s.candidates]
    assert np.mean(p) == pytest.approx(20 / 420, rel=0.2)  # the mean probability is the share
