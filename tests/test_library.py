"""The library's face: light, typed, and a report that shows itself in a notebook."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import get_type_hints

import pytest

import lungscan
from lungscan.errors import UsageError
from lungscan.report.notebook import MOST_ROWS
from lungscan.report.sample import sample_report
from lungscan.report.words import NOTICE
from lungscan.volume import Notice
from tests.conftest import ROOT


class Page(HTMLParser):
    """The tags of a piece of HTML, how deep they stand, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def test_the_library_is_typed() -> None:
    assert files("lungscan").joinpath("py.typed").is_file()
    hints = get_type_hints(lungscan.scan)
    assert hints["return"] is lungscan.Report
    assert hints["settings"] is lungscan.Settings
    assert get_type_hints(lungscan.read)["return"] is lungscan.Volume


def test_settings_are_the_options_of_the_command() -> None:
    from typer.main import get_command

    from lungscan.commands import app

    options = {param.name for param in get_command(app).commands["scan"].params}  # type: ignore[attr-defined]
    assert set(lungscan.Settings.__dataclass_fields__) <= options


def test_a_report_shows_what_matters() -> None:
    report = sample_report()
    page = Page(report._repr_html_())
    assert page.tags.count("tr") == 1 + len(report.nodules)
    for words in ("Suspicious", "3 nodules", "chest.zip", "21.8", "0.871", "slices are 2.5 mm apart", NOTICE):
        assert words in page.text
    assert "scans/" not in page.text  # folders may be named after people


def test_it_is_short_and_holds_no_script_and_no_link() -> None:
    report = sample_report()
    many = replace(report, nodules=report.nodules * 50)
    text = many._repr_html_()
    page = Page(text)
    assert page.open == []
    assert set(page.tags) <= {"div", "p", "strong", "small", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.attributes == []
    assert page.tags.count("tr") == 1 + MOST_ROWS
    assert f"and {150 - MOST_ROWS} more" in page.text
    assert len(text) < 10_000


def test_what_comes_from_files_is_escaped() -> None:
    report = sample_report()
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    facts = replace(report.input, path=f"x/{evil.replace('/', '')}")
    report = replace(report, input=facts, warnings=(Notice("evil", evil),))
    text = report._repr_html_()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("suspicious", [None, False])
def test_a_report_without_nodules_says_so(suspicious: bool | None) -> None:
    report = sample_report()
    patient = replace(report.patient, suspicious=suspicious)
    page = Page(replace(report, nodules=(), patient=patient)._repr_html_())
    assert "0 nodules" in page.text
    assert "table" not in page.tags
    assert ("Malignancy not assessed" if suspicious is None else "Not suspicious") in page.text


def test_the_findings_alone_load_nothing_that_draws() -> None:
    code = (
        "import lungscan.findings, sys; print(*(m for m in sys.modules if m.startswith(('lungscan.report', 'markupsafe'))))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_paths_may_be_text_or_paths(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mhd", str(tmp_path / "none.mhd")):
        with pytest.raises(UsageError, match=r"none\.mhd"):
            lungscan.read(path)
