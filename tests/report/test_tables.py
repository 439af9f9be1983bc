"""The table of nodules: LUNA16's columns first, read by LUNA16's protocol, and inert in a spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungscan.evaluation.tables import read_places
from lungscan.report.sample import sample_report
from lungscan.report.tables import inert, to_csv, write_csv
from tests.report.made import BALLS, made


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_luna16_s_columns_stand_first() -> None:
    head = to_csv(sample_report()).splitlines()[0].split(",")
    assert head[:5] == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]


def test_luna16_s_protocol_reads_it(tmp_path: Path) -> None:
    (path,) = write_csv(made(), tmp_path)
    assert path.name == "nodules.csv"
    places = read_places(path, ["1.2.3"], "probability")
    np.testing.assert_allclose(places.xyz_mm, [centre for centre, _ in BALLS], atol=1e-3)
    np.testing.assert_allclose(places.value, [n.p_nodule for n in made().report.nodules], atol=1e-6)


def test_one_row_a_nodule_with_its_figures() -> None:
    report = sample_report()
    table = rows(to_csv(report))
    assert [row["id"] for row in table] == ["1", "2", "3"]
    assert [row["suspicious"] for row in table] == ["yes", "no", "no"]
    for row, nodule in zip(table, report.nodules, strict=True):
        assert float(row["diameter_mm"]) == pytest.approx(nodule.diameter_mm, abs=1e-3)
        assert float(row["p_malignant"]) == pytest.approx(nodule.p_malignant, abs=1e-6)
        assert int(row["slice"]) == nodule.slice


def test_what_was_not_assessed_is_empty() -> None:
    report = sample_report()
    nodules = tuple(replace(n, p_malignant=None, suspicious=None) for n in report.nodules)
    assert {(row["p_malignant"], row["suspicious"]) for row in rows(to_csv(replace(report, nodules=nodules)))} == {("", "")}


def test_without_nodules_there_is_a_heading() -> None:
    assert len(to_csv(replace(sample_report(), nodules=())).splitlines()) == 1


@pytest.mark.parametrize("hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =cmd|' /C calc'!A0", "=a,b\n=c"])
def test_no_cell_is_a_formula(hostile: str) -> None:
    report = sample_report()
    text = to_csv(replace(report, input=replace(report.input, series_uid=hostile)))
    table = rows(text)
    assert len(table) == len(report.nodules)
    for row in table:
        assert not row["seriesuid"].lstrip().startswith(("=", "+", "-", "@"))
        assert "\n" not in row["seriesuid"]


def test_a_uid_is_left_alone() -> None:
    assert inert("1.3.6.1.4.1.14519") == "1.3.6.1.4.1.14519"


def test_numbers_have_no_minus_zero() -> None:
    report = sample_report()
    nodule = replace(report.nodules[0], centre_xyz_mm=(-0.0001, 1.0, 2.0))
    assert rows(to_csv(replace(report, nodules=(nodule,))))[0]["coordX"] == "0.000"
