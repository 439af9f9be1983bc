"""A cache with four balls a scan, judged by rules that are known: what is found, what is lost, what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import lungscan
from lungscan.commands import app
from lungscan.errors import InputRefused, UsageError
from lungscan.evaluation.cases import Case, Source, cached, of_dataset
from lungscan.evaluation.model import Figures
from lungscan.evaluation.run import Evaluation, evaluate, write
from lungscan.phantom import write_dataset
from lungscan.pipeline import Networks
from lungscan.settings import Settings
from lungscan.training import splits
from lungscan.training.cache import IGNORED, Cache
from tests.evaluation.hand_made import CARD, FAINT, NODULE, SHAPE, STONE, VESSEL, rules, write_entry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans of two patients, a painted copy of the first one, and a split."""
    folder = tmp_path_factory.mktemp("cache")
    cache = Cache(folder)
    for name, patient, series in (("a", "A", "1"), ("a+0", "A", "1"), ("b", "B", "2"), ("c", "B", "3")):
        write_entry(cache, name, patient, series)
    splits.write(folder, cache.entries())
    return folder


@pytest.fixture(scope="module")
def result(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(cached(folder, CARD, "all", "*"), rules(), pictures=tmp_path_factory.mktemp("pictures"))


def names(source: Source) -> list[str]:
    return [case.name for case in source.cases]


def test_of_four_balls_one_is_right_one_is_wrong_and_two_are_lost(result: Evaluation) -> None:
    figures = result.figures
    assert (figures.scans, figures.patients) == (3, 2)
    assert (figures.operating.found, figures.operating.nodules, figures.operating.false_positives) == (3, 9, 3)
    assert [n.lost_by for n in figures.nodules] == [None, "classifier", "segmentation"] * 3


def test_places_and_scores_are_those_of_the_balls(result: Evaluation) -> None:
    for row, place in zip(result.figures.nodules[:2], (NODULE, STONE), strict=True):
        assert row.centre_xyz_mm == (place[2] * 1.25, place[1] * 1.25, place[0] * 2)
    assert [n.p_nodule for n in result.figures.nodules[:3]] == [0.75, 0.25, None]
    assert result.figures.false_positives[0].centre_xyz_mm == pytest.approx(
        (VESSEL[2] * 1.25, VESSEL[1] * 1.25, VESSEL[0] * 2)
    )


def test_the_measured_diameter_is_the_ball_s(result: Evaluation) -> None:
    """The voxels of a ball of 10 mm hold its volume within some percent."""
    assert result.figures.diameters is not None
    assert result.figures.diameters.median_absolute.value < 0.03


def test_a_mark_on_ignored_voxels_counts_neither_way(folder: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    hu, lungs, label = (np.array(m) for m in Cache(folder).maps(Cache(folder).entries()[0]))
    i, r, c = VESSEL
    label[i - 1 : i + 2, r - 1 : r + 2, c - 1 : c + 2] = IGNORED
    cache.write(replace(write_entry(cache, "a"), name="a"), hu, lungs, label)
    figures = evaluate(cached(tmp_path, CARD, "all", "*"), rules()).figures
    assert (figures.operating.found, figures.operating.false_positives) == (1, 0)
    assert figures.nodule is None  # no mark is wrong


def test_painted_copies_count_where_the_pattern_has_a_plus(folder: Path) -> None:
    assert names(cached(folder, CARD, "all", "*")) == ["a", "b", "c"]
    assert names(cached(folder, CARD, "all", "a*")) == ["a"]
    assert names(cached(folder, CARD, "all", "*+*")) == ["a+0"]


def test_the_sets_of_the_split(folder: Path) -> None:
    training, validation = (names(cached(folder, CARD, which, "*")) for which in ("training", "validation"))
    assert sorted(training + validation) == ["a", "b", "c"]
    assert validation in (["a"], ["b", "c"])


def test_scans_that_taught_the_networks_are_left_out_and_named(folder: Path) -> None:
    card = replace(CARD, trained_on=("2", "3"))
    left = evaluate(cached(folder, card, "all", "*"), rules(card))
    assert (left.trained_on, left.figures.scans) == (("b", "c"), 1)
    told = evaluate(cached(folder, card, "all", "*"), rules(card), include_trained=True)
    assert (told.trained_on, told.figures.scans) == ((), 3)
    assert told.warnings == ("small was trained on 2 of these scans: the figures flatter it.",)


def test_nothing_but_scans_that_taught_the_networks_is_refused(folder: Path) -> None:
    card = replace(CARD, trained_on=("1", "2", "3"))
    with pytest.raises(InputRefused, match=r"small was trained on every one of the 3 scans.*--include-trained"):
        evaluate(cached(folder, card, "all", "*"), rules(card))


def test_another_grid_is_refused_and_a_resampled_one_is_told(folder: Path) -> None:
    other = replace(CARD, input=replace(CARD.input, spacing_irc_mm=(1.0, 1.0, 1.0)))
    with pytest.raises(InputRefused, match=r"a on a grid of 2 x 1.25 x 1.25 mm, and small works on 1 x 1 x 1"):
        cached(folder, other, "all", "*")
    native = replace(CARD, input=replace(CARD.input, spacing_irc_mm=None))
    assert "own grid" in cached(folder, native, "all", "*").warnings[0]
    assert cached(folder, CARD, "all", "*").warnings == ()


def test_a_pattern_that_fits_nothing_and_a_cache_that_is_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no entry of the set all whose name fits z"):
        cached(folder, CARD, "all", "z")
    with pytest.raises(InputRefused, match="no training cache"):
        cached(tmp_path, CARD, "all", "*")


def test_a_scan_that_cannot_be_read_is_told_and_not_the_end(folder: Path) -> None:
    def broken() -> Any:
        raise InputRefused("no lungs.")

    source = cached(folder, CARD, "all", "*")
    mixed = replace(source, cases=(*source.cases, Case("d", "D", "4", broken)))
    told = evaluate(mixed, rules())
    assert [(s.name, s.reason) for s in told.skipped] == [("d", "no lungs.")]
    assert told.figures.scans == 3
    with pytest.raises(InputRefused, match=r"not one of 1 scans could be read; the first: d: no lungs"):
        evaluate(Source("x", (Case("d", "D", "4", broken),)), rules())


def test_the_json_holds_every_figure(result: Evaluation, tmp_path: Path) -> None:
    write(result, tmp_path)
    parsed = json.loads((tmp_path / "evaluation.json").read_text())
    assert parsed["schema"] == "lungscan-evaluation/1"
    same(parsed, result)
    assert parsed["figures"]["nodule"]["curve"]["threshold"][0] is None  # infinity


def same(parsed: Any, value: Any) -> None:
    """JSON and dataclass agree, field by field."""
    if hasattr(value, "__dataclass_fields__"):
        assert set(parsed) == {f.name for f in fields(value)}
        for f in fields(value):
            same(parsed[f.name], getattr(value, f.name))
    elif isinstance(value, tuple | list | np.ndarray):
        assert len(parsed) == len(value)
        for a, b in zip(parsed, value, strict=True):
            same(a, b)
    elif isinstance(value, float) and not np.isfinite(value):
        assert parsed is None
    else:
        assert parsed == value


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_dataset(folder, 1, 3, spacing_irc_mm=(2.5, 1.4, 1.4))
    return folder


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.open(Settings(precision="fp32"))


@pytest.fixture(scope="module")
def from_files(phantoms: Path, networks: Networks) -> Figures:
    return evaluate(of_dataset(phantoms, networks.weights.card, "*"), networks).figures


def test_files_are_judged_by_what_a_scan_of_them_reports(phantoms: Path, from_files: Figures) -> None:
    (path,) = phantoms.glob("subset0/*.mhd")
    reported = lungscan.scan(path, Settings(precision="fp32")).nodules
    hit = [[math.dist(r.centre_xyz_mm, n.centre_xyz_mm) < n.diameter_mm / 2 for r in reported] for n in from_files.nodules]
    assert [n.found for n in from_files.nodules] == [any(row) for row in hit]
    assert from_files.operating.false_positives == sum(not any(column) for column in zip(*hit, strict=True))
    best = [max(r.p_nodule for r, h in zip(reported, row, strict=True) if h) for row in hit if any(row)]
    assert [n.p_nodule for n in from_files.nodules if n.found] == pytest.approx(best)
    assert best


def test_files_and_their_cache_give_the_same_figures(
    phantoms: Path, from_files: Figures, networks: Networks, tmp_path: Path
) -> None:
    """Of the nodules; a false mark at the threshold may fall to either side, as a cache ends 40 mm beyond the lungs."""
    prepared = CliRunner().invoke(app, ["prepare", str(phantoms), "--cache", str(tmp_path)])
    assert prepared.exit_code == 0, prepared.output
    from_cache = evaluate(cached(tmp_path, networks.weights.card, "all", "*"), networks).figures
    for a, b in zip(from_cache.nodules, from_files.nodules, strict=True):
        assert (a.centre_xyz_mm, a.found, a.malignant) == (b.centre_xyz_mm, b.found, b.malignant)
        assert (a.p_nodule, a.measured_mm) == pytest.approx((b.p_nodule, b.measured_mm), abs=0.02, rel=0.03)


def test_a_data_set_without_such_a_scan_and_one_that_is_none(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no scan whose name fits z"):
        of_dataset(phantoms, CARD, "z")
    with pytest.raises(UsageError, match="no folder"):
        of_dataset(tmp_path / "gone", CARD, "*")


def test_the_balls_lie_apart() -> None:
    """The oracle of this file: no ball touches another or the border."""
    places = np.array([NODULE, VESSEL, STONE, FAINT]) * [2.0, 1.25, 1.25]
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    assert apart[~np.eye(4, dtype=bool)].min() > 11
    assert (places > 5).all()
    assert (places + 5 < np.array(SHAPE) * [2.0, 1.25, 1.25]).all()
