"""The report in a terminal: what a reader sees first, how wide it is, and that text from files cannot act."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from lungscan.findings import CandidateCounts, InputFacts, Patient, Report
from lungscan.report.sample import sample_report
from lungscan.report.terminal import MOST_NODULES, show
from lungscan.report.words import position
from lungscan.volume import Notice
from tests.conftest import ROOT
from tests.report.test_json import anything, at_an_operating_point, without_malignancy, without_nodules

HOSTILE = "[bold red]scan[/] [link=http://x]\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r\n\x08"


def shown(report: Report, width: int = 80, *, encoding: str = "utf-8", terminal: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    show(report, Console(file=file, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None))
    file.flush()
    return raw.getvalue().decode(encoding)


def hostile() -> Report:
    report = sample_report()
    facts: InputFacts = replace(
        report.input, path=HOSTILE * 3, series_uid=HOSTILE, facts={"kernel": HOSTILE}, skipped_series=(HOSTILE,)
    )
    return replace(report, input=facts, warnings=(Notice(HOSTILE, HOSTILE),))


def many(count: int) -> Report:
    report = sample_report()
    nodules = tuple(replace(report.nodules[1], id=k) for k in range(1, count + 1))
    return replace(report, nodules=nodules, candidates=CandidateCounts(count, count, nodules))


@anything
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_is_wider_than_the_console(report: Report, width: int, terminal: bool) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(report, width, terminal=terminal))
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_figures_are_never_cut(width: int) -> None:
    """The widest values that a chest gives: 999 nodules, a metre from the origin, a mass of 12 cm."""
    report = sample_report()
    big = replace(
        report.nodules[0],
        id=999,
        slice=9999,
        centre_xyz_mm=(-512.3, -499.8, -1876.4),
        diameter_mm=123.4,
        volume_mm3=983871.0,
    )
    text = shown(replace(report, nodules=(big,)), width)
    for figure in ("▲ 999", "9999", "R 512.3", "A 499.8", "I 1876.4", "123.4", "983871", "0.999", "0.871"):
        assert figure in text


def test_the_patients_result_stands_first() -> None:
    first = shown(sample_report()).splitlines()[1]
    assert "SUSPICIOUS" in first
    assert "NOT" not in first
    assert "NOT SUSPICIOUS" in shown(without_nodules()).splitlines()[1]
    assert "NOT ASSESSED" in shown(without_malignancy()).splitlines()[1]


@anything
def test_the_rule_is_told(report: Report) -> None:
    squeezed = " ".join(re.sub(r"[│\s]+", " ", shown(report)).split())
    assert report.patient.rule[1:] in squeezed


@pytest.mark.parametrize(("asked", "said"), [(1.0, "at most 1 false positive a scan"), (0.5, "at most 0.5 false positives")])
def test_the_operating_point_is_told_in_words(asked: float, said: str) -> None:
    report = at_an_operating_point()
    assert report.settings.operating_point is not None
    settings = replace(report.settings, operating_point=replace(report.settings.operating_point, asked_fp_per_scan=asked))
    text = shown(replace(report, settings=settings), 120)
    assert said in text
    assert "(in validation 0.94, with 92 % of nodules found)" in text
    assert "Operating point" not in shown(sample_report())


def test_no_nodules_is_said() -> None:
    assert "No nodules found" in shown(without_nodules())


@anything
def test_it_says_once_that_it_is_no_device(report: Report) -> None:
    assert shown(report).count("lungscan helps a radiologist look; it is no medical device.") == 1


def test_a_suspicious_nodule_is_marked_without_colour() -> None:
    rows = [line for line in shown(sample_report()).splitlines() if re.match(r" [▲ ] \d ", line)]
    assert ["▲" in row for row in rows] == [True, False, False]


def test_twenty_nodules_are_shown_and_the_rest_counted() -> None:
    text = shown(many(MOST_NODULES + 5))
    assert "and 5 more" in text
    assert len(re.findall(r"^ +\d+ +41 +R", text, re.MULTILINE)) == MOST_NODULES
    assert "more" not in shown(many(MOST_NODULES))


@pytest.mark.parametrize("width", [80, 120])
def test_text_from_files_is_inert(width: int) -> None:
    text = shown(hostile(), width)
    assert not {c for c in text if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n"}
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    assert "[bold red]scan[/]" in text
    assert "\x1b]" not in shown(hostile(), width, terminal=True)
    assert "\x1b[2J" not in shown(hostile(), width, terminal=True)


def test_piped_it_is_plain() -> None:
    text = shown(sample_report())
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_without_unicode_shows_it_too(encoding: str) -> None:
    report = sample_report()
    foreign = replace(report, input=replace(report.input, path="肺/scan.mhd"))
    assert "! SUSPICIOUS" in shown(report, encoding=encoding)
    assert "scan.mhd" in shown(foreign, encoding=encoding)


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(sample_report(), terminal=True)
    codes = {int(code) for group in re.findall(r"\x1b\[([0-9;]*)m", text) for code in group.split(";") if code}
    assert not {code for code in codes if code >= 30}


def test_sides_of_the_patient() -> None:
    """LPS: +X left, +Y back, +Z head."""
    assert position((12.0, 34.0, 56.0)).split() == ["L", "12.0", "P", "34.0", "S", "56.0"]
    assert position((-112.0, -134.0, -1156.0)).split() == ["R", "112.0", "A", "134.0", "I", "1156.0"]


def test_axes_are_named_and_a_tilt_is_told() -> None:
    report = sample_report()
    assert "axes LPS" in shown(report)
    turned = replace(report.input, direction=((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)))
    assert "axes PRI" in shown(replace(report, input=turned), 120)
    c, s = 0.984807753, 0.173648178  # 10 degrees
    tilted = replace(report.input, direction=((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))
    assert "axes LPS, oblique by 10.0°" in shown(replace(report, input=tilted), 120)


def test_the_result_of_a_patient_without_a_figure() -> None:
    text = shown(replace(sample_report(), patient=Patient(False, None, "a rule")))
    assert "highest P(malignant)" not in text


def test_python_m_shows_a_sample() -> None:
    out = subprocess.run([sys.executable, "-m", "lungscan.report"], capture_output=True, check=True, cwd=ROOT)
    assert "SUSPICIOUS" in out.stdout.decode()
