"""Phantoms that move and whose nodules grow by known amounts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lungscan.comparison.changes import Change, State
from lungscan.comparison.compare import Comparison, compare
from lungscan.comparison.document import to_dict
from lungscan.phantom import make_chest
from lungscan.volume import Volume
from tests.comparison.made import Ball, Scan, at, moved, rigid, scan

MOVE = rigid((2, -1, 3), (9, -7, 6))
STABLE, GROWN, SHRUNK = (-70.0, 10.0, 20.0), (70.0, 20.0, 0.0), (-60.0, -20.0, -20.0)
GONE, NEW, FLICKERING = (60.0, -20.0, 40.0), (-45.0, 30.0, 60.0), (75.0, -10.0, -30.0)


@pytest.fixture(scope="module")
def chest() -> Volume:
    return make_chest(3, 1, spacing_irc_mm=(2.5, 1.5, 1.5), noise=False).volume


@pytest.fixture(scope="module")
def pair(chest: Volume) -> tuple[Scan, Scan]:
    prior = [Ball(STABLE, 12), Ball(GROWN, 12), Ball(SHRUNK, 16), Ball(GONE, 12), Ball(FLICKERING, 12)]
    now = [Ball(NEW, 14), Ball(GROWN, 15), Ball(STABLE, 12), Ball(SHRUNK, 12), Ball(FLICKERING, 12, p_nodule=0.4)]
    there = [Ball(at(MOVE, b.xyz_mm), b.diameter_mm, b.hu, b.p_nodule) for b in now]
    return scan(chest, prior, "prior.mhd"), scan(moved(chest, MOVE), there, "now.mhd")


@pytest.fixture(scope="module")
def comparison(pair: tuple[Scan, Scan]) -> Comparison:
    return compare(*pair, months=6)


def by_place(comparison: Comparison) -> dict[tuple[float, float, float], Change]:
    """Changes by the place in the earlier scan that lies nearest."""
    places = [STABLE, GROWN, SHRUNK, GONE, NEW, FLICKERING]
    out = {}
    for change in comparison.changes:
        apart = [math.dist(at(MOVE, p), change.at_xyz_mm) for p in places]
        assert min(apart) < 2
        out[places[int(np.argmin(apart))]] = change
    assert len(out) == len(comparison.changes) == len(places)
    return out


def test_each_nodule_has_its_state(comparison: Comparison) -> None:
    states = {place: change.state for place, change in by_place(comparison).items()}
    assert states == {
        STABLE: State.stable,
        GROWN: State.growing,
        SHRUNK: State.shrinking,
        GONE: State.gone,
        NEW: State.new,
        FLICKERING: State.stable,
    }


def test_changes_are_those_that_were_painted(comparison: Comparison) -> None:
    """12 to 15 mm is 1.953 times the volume, in 182.6 days: doubled in 189 days."""
    grown = by_place(comparison)[GROWN]
    assert grown.volume_change == pytest.approx(15**3 / 12**3 - 1, rel=0.1)
    assert grown.mean_change_mm == pytest.approx(3, abs=0.7)
    assert grown.diameter_change_mm == pytest.approx(3, abs=0.3)
    assert grown.doubling_days == pytest.approx(6 * 365.25 / 12 * math.log(2) / (3 * math.log(15 / 12)), rel=0.1)
    shrunk = by_place(comparison)[SHRUNK]
    assert shrunk.volume_change == pytest.approx(12**3 / 16**3 - 1, abs=0.06)
    assert shrunk.growth == "no growth"


def test_matched_nodules_lie_on_one_another(comparison: Comparison) -> None:
    matched = [c for c in comparison.changes if c.apart_mm is not None]
    assert len(matched) == 4
    assert max(c.apart_mm for c in matched if c.apart_mm is not None) < 1.5
    np.testing.assert_allclose(comparison.alignment.matrix[:, :3], MOVE[:, :3], atol=0.01)
    np.testing.assert_allclose(comparison.alignment.matrix[:, 3], MOVE[:, 3], atol=1)


def test_a_candidate_just_under_the_threshold_is_not_gone(comparison: Comparison) -> None:
    change = by_place(comparison)[FLICKERING]
    assert change.now is not None
    assert change.now.faint
    assert not by_place(comparison)[STABLE].now.faint


def test_the_newer_report_comes_first_in_its_order(comparison: Comparison) -> None:
    ids = [c.now.id for c in comparison.changes if c.now and not c.now.faint]
    assert ids == [1, 2, 3, 4]
    assert [c.state for c in comparison.changes[:4]] == [State.new, State.growing, State.stable, State.shrinking]


def test_that_outlines_vary_is_told_where_something_changed(comparison: Comparison) -> None:
    assert [w.code for w in comparison.warnings] == ["outlines_vary"]


def test_the_guidelines_are_told(comparison: Comparison) -> None:
    prior = comparison.guidelines
    assert prior.months == pytest.approx(6)
    assert prior.before[1] is None
    assert prior.before[2].mean_mm == pytest.approx(12, abs=0.7)


def test_the_same_scans_give_the_same_bytes(pair: tuple[Scan, Scan], comparison: Comparison) -> None:
    again = compare(*pair, months=6)
    first, second = (json.dumps(to_dict(c)) for c in (comparison, again))
    assert first == second
    assert list(json.loads(first)) == ["schema", "prior", "now", "days", "alignment", "nodules", "warnings"]


def test_where_a_scan_does_not_reach_nothing_is_new_or_gone(chest: Volume) -> None:
    """The newer scan shows the upper part alone: what lies below is neither gone nor stable."""
    n, rows, columns = chest.grid.shape
    box = ((n // 3, n), (0, rows), (0, columns))
    upper = replace(chest, hu=chest.hu[n // 3 :], grid=chest.grid.part(box))
    low = (70.0, 20.0, -80.0)
    comparison = compare(scan(chest, [Ball(STABLE, 12), Ball(low, 12)], "a"), scan(upper, [Ball(STABLE, 12)], "b"))
    assert [c.state for c in comparison.changes] == [State.stable, State.outside]
    backwards = compare(scan(upper, [Ball(STABLE, 12)], "b"), scan(chest, [Ball(STABLE, 12), Ball(low, 12)], "a"))
    assert [c.state for c in backwards.changes] == [State.stable, State.outside]
    assert list(backwards.guidelines.before) == [1]


def test_another_slice_thickness_and_no_dates_are_warned_of(chest: Volume) -> None:
    i, r, c = chest.grid.spacing_irc_mm
    thick = replace(
        chest,
        hu=chest.hu[::2],
        grid=replace(chest.grid, shape=chest.hu[::2].shape, spacing_irc_mm=(2 * i, r, c)),
    )
    comparison = compare(scan(chest, [], "a"), scan(thick, [], "b"))
    assert [w.code for w in comparison.warnings] == ["slice_thickness", "no_interval"]
    assert "2.5 mm" in comparison.warnings[0].message
    assert "5 mm" in comparison.warnings[0].message
    dated = compare(scan(chest, [], "a", study_date="20240101"), scan(chest, [], "b", study_date="20240701"))
    assert (dated.days, dated.warnings) == (182.0, ())
