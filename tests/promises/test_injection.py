"""Text of files and their names stays text in every form of the report: it runs nothing, forges nothing, hides nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from rich.console import Console
from typer.testing import CliRunner

from lungscan.batch import summary
from lungscan.batch.rows import FAILED, Row
from lungscan.commands import app
from lungscan.findings import Patient, Report, WeightsFacts
from lungscan.readers import SeriesFacts
from lungscan.report import series, terminal
from lungscan.report.html import SECTIONS, to_html
from lungscan.report.json import to_json
from lungscan.report.markups import to_markups
from lungscan.report.notebook import to_fragment
from lungscan.report.tables import to_csv
from lungscan.volume import Notice
from tests.promises.chest import written
from tests.report.browser import chromium
from tests.report.made import Made, made

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"'><img src=x onerror=alert(2)><svg/onload=alert(3)>",
    "template": "{{ 7*7 }}{% include 'page.css' %}",
    "command": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-1+1",
    "at": "@SUM(A1)",
    "tab": "\t=1",
    "return": "\r=1",
    "blank": " \u00a0=1",
    "wide": "＝1",
    "cells": '","=1","\n=1',
    "terminal": "\x1b]0;owned\x07\x1b[2J\x9b31m\x08",
    "markup": "[bold red]x[/] [link=http://x]y[/link]",
    "direction": "a\u202eb\u2066c\u200fd\u061c",
    "invisible": "a\u200bb\ufeffc\u2060d\u00ade",
    "lines": "a\nb\u2028c\u2029d\x85e\x0bf",
    "nul": "a\x00b",
    "long": "x" * 10_000,
    "surrogate": "a\ud800b\udcff",
}
anything = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What rich itself writes."""


def hostile(text: str) -> Made:
    """A scan all of whose words are this text."""
    scan = made()
    report = scan.report
    facts = replace(report.input, path=text, format=text, series_uid=text, facts={text: text}, skipped_series=(text, text))
    used = replace(report.settings, weights=WeightsFacts(text, report.settings.weights.sha256), rule=text)
    said = replace(report, input=facts, settings=used, warnings=(Notice(text, text),), patient=Patient(True, 0.9, text))
    return replace(scan, report=said)


def rows(text: str) -> list[Row]:
    """Of a batch, which names scans by itself."""
    scan = Row.of("a", hostile(text).report, "report.html", all_candidates=False)
    return [replace(scan, warnings=(text,)), Row("b", text, FAILED, text)]


def acting(text: str) -> set[str]:
    """Characters that do something where the text is shown."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


def printed(show: Any, facts: Any, *, colours: bool) -> str:
    file = io.StringIO()
    show(facts, Console(file=file, width=100, force_terminal=colours, color_system="truecolor" if colours else None))
    return file.getvalue()


@anything
@pytest.mark.parametrize("colours", [True, False])
def test_a_terminal_shows_it_as_text(text: str, colours: bool) -> None:
    def of_inspect(report: Report, console: Console) -> None:
        told = (report.input.path, text, text, text, text)
        series.show([SeriesFacts(*told, 1, kernel=text, notices=report.warnings, refusal=text)], console)

    for show in (terminal.show, of_inspect):
        page = printed(show, hostile(text).report, colours=colours)
        assert acting(COLOURS.sub("", page)) == set()
        assert len(page) < 20_000
        if "[bold red]" in text:
            assert "[bold red]" in " ".join(page.split())


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


@anything
def test_a_page_shows_it_as_text(text: str) -> None:
    words = [section for section in SECTIONS if not section.template.startswith(("pictures", "overview"))]
    for page in (to_html(hostile(text), words), summary.index_html(rows(text)), to_fragment(hostile(text).report)):
        assert acting(page) == set()
        page.encode()
        told = Page(page)
        assert not told.tags & {"script", "iframe", "object", "embed", "form", "svg", "base", "link"}
        assert not [name for name, _ in told.attributes if name.startswith("on")]
        assert "src" not in dict(told.attributes)
        assert not [value for name, value in told.attributes if name == "href" and re.match(r"\s*[a-z]+:", value or "")]
        assert "49" not in told.words or "7*7" not in text or "{{ 7*7 }}" in told.words


def test_a_browser_runs_nothing(tmp_path: Path) -> None:
    everything = "".join(text for name, text in HOSTILE.items() if name != "long")
    pages = {"report": to_html(hostile(everything)), "index": summary.index_html(rows(everything))}
    with chromium() as browser:
        for name, text in pages.items():
            (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
            page = browser.new_page()
            said: list[str] = []
            fetched: list[str] = []
            page.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
            page.on("request", lambda request, fetched=fetched: fetched.append(request.url))
            page.goto((tmp_path / f"{name}.html").as_uri())
            assert (
                page.evaluate("document.scripts.length + document.querySelectorAll('[onerror], [onload], svg').length") == 0
            )
            assert [url for url in fetched if not url.startswith("data:")] == [(tmp_path / f"{name}.html").as_uri()]
            assert said == []


@anything
def test_a_spreadsheet_shows_it_as_text(text: str) -> None:
    for table in (to_csv(hostile(text).report), summary.summary_csv(rows(text)), summary.predictions_csv(rows(text))):
        table.encode()
        lines = list(csv.reader(io.StringIO(table)))
        assert {len(line) for line in lines} == {len(lines[0])}
        for cell in (cell for line in lines for cell in line):
            assert acting(cell) == set()
            assert re.fullmatch(r"-?\d+(\.\d+)?", cell) or cell.lstrip()[:1] not in tuple("=+-@＝＋－＠")


@anything
def test_json_gives_it_back_unchanged(text: str) -> None:
    told = to_json(hostile(text).report)
    assert told.isascii()
    assert acting(told) == set()
    assert json.loads(told)["input"]["path"] == text
    assert [json.loads(line)["reason"] for line in summary.summary_jsonl(rows(text)).splitlines()] == ["", text]
    assert to_markups(hostile(text).report) == to_markups(made().report)  # nothing of a file is in it


NAMES = [
    "=cmd|' C calc'!A0.mha",
    "<img src=x onerror=alert(1)>.mha",
    "\x1b[2J\x1b]0;owned\x07\u202egnp.mha",
    "-o [bold red].mha",
    os.fsdecode(b"a\xff\xfeb.mha"),
]


@pytest.fixture(scope="module")
def outputs(image: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What a batch makes of files with such names, one of them a scan, the others nothing, and of a folder passed over."""
    folder = tmp_path_factory.mktemp("names")
    for name in NAMES[1:]:
        (folder / name).write_bytes(b"nothing")
    written(image, folder, ".mha").rename(folder / NAMES[0])
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.3"
    (folder / "\x1b[2J\u202e").mkdir()
    report.save_as(folder / "\x1b[2J\u202e" / "x", implicit_vr=False, little_endian=True)
    out = folder.with_name(f"{folder.name}-out")
    ran = CliRunner().invoke(app, ["batch", str(folder), "-o", str(out), "--write", "html", "--write", "csv"])
    assert ran.exit_code == 5, ran.output
    return out, ran.stdout + ran.stderr


def test_no_file_name_acts_on_a_terminal_or_names_an_output(outputs: tuple[Path, str]) -> None:
    out, shown = outputs
    assert "passed over" in shown
    assert acting(shown) == set()
    assert sum(path.is_dir() for path in out.iterdir()) == 1
    for path in out.rglob("*"):
        assert re.fullmatch(r"[\w.-]+", path.name)
        assert not path.name.startswith("-")


def test_no_file_name_acts_in_what_a_batch_writes(outputs: tuple[Path, str]) -> None:
    files = [path for path in outputs[0].rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.suffix for path in files} == {".html", ".csv", ".json", ".jsonl"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert acting(text) == set(), path.name
        if path.suffix == ".html":
            assert "onerror" not in [name for name, _ in Page(text).attributes]
        elif path.suffix == ".csv":
            for line in csv.reader(io.StringIO(text)):
                assert not [cell for cell in line if cell.startswith(("=", "+", "@"))]


def odd(ds: Dataset, _: int) -> None:
    """What no scanner writes; pydicom is kept from looking at it."""
    texts = iter(HOSTILE.values())
    for keyword in ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SeriesDescription", "BodyPartExamined"):
        setattr(ds, keyword, "x")
        ds[keyword]._value = f"{next(texts)}{HOSTILE['terminal']}{HOSTILE['long']}{HOSTILE['command']}"


@pytest.mark.filterwarnings("ignore:Invalid value for VR|.*exceeds the maximum length|.*value length")
def test_odd_headers_end_as_text_in_every_output(image: sitk.Image, tmp_path: Path) -> None:
    """DICOM objects carry what DICOM allows them to, and are read back without a complaint."""
    pytest.importorskip("highdicom", reason="DICOM SEG and SR need highdicom")
    study = written(image, tmp_path, "", odd)
    kinds = [word for kind in ("html", "csv", "json", "markups", "seg", "sr") for word in ("--write", kind)]
    ran = CliRunner().invoke(app, ["scan", str(study), *kinds, "-o", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    assert acting(ran.output) == set()
    facts = json.loads((tmp_path / "out/report.json").read_text())["input"]["facts"]
    assert all("owned" in facts[name] for name in ("manufacturer", "kernel", "body_part"))
    for path in (tmp_path / "out").iterdir():
        if path.suffix in (".html", ".csv", ".json"):
            assert acting(path.read_text(encoding="utf-8")) == set(), path.name
        elif path.suffix == ".dcm":
            for element in pydicom.dcmread(path).iterall():
                if element.VR in ("LO", "SH", "CS", "PN", "ST", "LT"):
                    assert acting(str(element.value)) == set(), element
                    assert len(str(element.value)) <= 64 or element.VR in ("ST", "LT")
