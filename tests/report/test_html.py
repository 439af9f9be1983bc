"""The page: what it says, that text from files cannot act in it, and, in a real browser, what is seen of it and fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungscan.findings import Patient
from lungscan.report.html import SECTIONS, Section, to_html, write_html
from lungscan.report.words import NOTICE
from lungscan.volume import Notice
from tests.report.browser import chromium
from tests.report.made import Made, described, made

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\u202egnp\x1b[31m'&"


def hostile() -> Made:
    scan = made()
    facts = replace(
        described(scan.volume), path=f"a/{HOSTILE}", series_uid=HOSTILE, facts={HOSTILE: HOSTILE}, skipped_series=(HOSTILE,)
    )
    report = replace(scan.report, input=facts, warnings=(Notice(HOSTILE, HOSTILE),), patient=Patient(True, 0.9, HOSTILE))
    return replace(scan, report=report)


def words(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))


def headings(page: str) -> list[str]:
    return [" ".join(words(h).split()) for h in re.findall(r"<h[12]>.*?</h[12]>", page)]


def test_the_patients_result_stands_first() -> None:
    expected = ["▲ Suspicious", "Nodules", "Overview", "Pictures", "Warnings", "Scan, weights and settings", "Stages"]
    assert headings(to_html(made())) == expected


@pytest.mark.parametrize(("suspicious", "said"), [(False, "Not suspicious"), (None, "Malignancy not assessed")])
def test_other_results(suspicious: bool | None, said: str) -> None:
    scan = made()
    nodules = tuple(replace(n, suspicious=suspicious, p_malignant=None) for n in scan.report.nodules)
    report = replace(scan.report, nodules=nodules, patient=Patient(suspicious, None, "a rule"))
    page = to_html(replace(scan, report=report))
    assert headings(page)[0] == said
    assert "▲ suspicious" not in page
    assert "–" in page


def test_no_nodules_is_said() -> None:
    scan = made()
    page = to_html(replace(scan, report=replace(scan.report, nodules=())))
    assert "No nodules found" in page
    assert "Pictures" not in headings(page)


def test_the_notice_stands_once() -> None:
    text = words(to_html(made()))
    assert text.count(NOTICE) == 1
    assert len(re.findall("medical device", text)) == 1


def test_settings_weights_warnings_and_stages_are_told() -> None:
    scan = made()
    text = words(to_html(scan))
    used = scan.report.settings
    for said in (used.weights.name, used.weights.sha256, used.engine, used.precision, scan.report.input.sha256, "made.mhd"):
        assert said in text
    for warning in scan.report.warnings:
        assert warning.message[1:] in text
    for stage, seconds in scan.report.timing_s.items():
        assert re.search(rf"{stage}\s.*?{seconds:.2f}", text, re.DOTALL)


def test_of_the_path_only_the_name_is_told() -> None:
    scan = made()
    facts = replace(scan.report.input, path="/home/anna/DOE^JANE/made.mhd")
    assert "DOE" not in to_html(replace(scan, report=replace(scan.report, input=facts)))


def test_text_from_files_cannot_act() -> None:
    page = to_html(hostile())
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "{{ 7*7 }}" in words(page)
    assert not {c for c in page if ord(c) < 32} - {"\n"}
    assert "\u202e" not in page


def test_nothing_points_outside() -> None:
    page = to_html(made())
    outside = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//|<script|<link|@import|url\(|javascript:", outside, re.IGNORECASE)


def test_the_page_stays_small_with_many_nodules() -> None:
    scan = made()
    rng = np.random.default_rng(0)
    noisy = replace(scan.volume, hu=scan.volume.hu + rng.normal(0, 150, scan.volume.hu.shape).astype(np.int16))
    first = scan.report.nodules[0]
    nodules = tuple(replace(first, id=k) for k in range(1, 41))
    page = to_html(replace(scan, volume=noisy, report=replace(scan.report, nodules=nodules)))
    assert len(page.encode()) < 3_000_000
    shown = len(re.findall("<article", page))
    assert 3 < shown < 40
    assert f"Pictures of {40 - shown} more" in page
    assert len(re.findall(r'<th scope="row">\d+', page)) == 40


def test_a_section_is_a_template_and_its_facts() -> None:
    warnings = Section("warnings.html.j2", lambda _: {"warnings": (Notice("own", "a guideline says so"),)})
    nothing = Section("warnings.html.j2", lambda _: None)
    page = to_html(made(), (*SECTIONS[:2], warnings, nothing))
    assert headings(page) == ["▲ Suspicious", "Nodules", "Warnings"]
    assert "A guideline says so" in page


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    (path,) = write_html(made(), tmp_path)
    assert path.name == "report.html"
    before = path.read_bytes()
    assert write_html(made(), tmp_path)[0].read_bytes() == before


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    scans = {"made": made(), "hostile": hostile()}
    out = {}
    for name, scan in scans.items():
        folder = tmp_path_factory.mktemp(name)
        out[name] = write_html(scan, folder)[0].as_uri()
    return out


VIEWS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]

CONTRASTS = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgba = c => { const v = c.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
  const share = e => { let o = 1; for (; e; e = e.parentElement) o *= +getComputedStyle(e).opacity; return o; };
  return [...document.querySelectorAll('body *')].filter(e => e.getClientRects().length
      && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).map(e => {
    const under = ground(e), over = rgba(getComputedStyle(e).color), o = share(e);
    const a = light(over.slice(0, 3).map((v, k) => o * v + (1 - o) * under[k])), b = light(under);
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.trim().slice(0, 40)];
  });
}"""
"""The contrast of each text with its ground by WCAG 2.2's formula."""


def opened(browser: Any, url: str, width: int = 1280, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.fetched = []
    page.on("request", lambda request: page.fetched.append(request.url))
    page.goto(url)
    return page


@pytest.mark.parametrize(("width", "scheme"), [*VIEWS, (320, "light"), (621, "light"), (768, "light"), (861, "light")])
@pytest.mark.parametrize("name", ["made", "hostile"])
def test_nothing_overflows_and_nothing_is_fetched(
    browser: Any, pages: dict[str, str], name: str, width: int, scheme: str
) -> None:
    page = opened(browser, pages[name], width, scheme)
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in page.fetched if not url.startswith("data:")] == [pages[name]]
    page.close()


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_what_a_reader_sees_first(browser: Any, pages: dict[str, str], width: int, scheme: str) -> None:
    """Without scrolling: the result and the notice; by day on a light ground, by night on a dark one."""
    page = opened(browser, pages["made"], width, scheme)
    for place in ("#finding h1", "#notice"):
        box = page.locator(place).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 600) == (scheme == "light")
    page.close()


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_every_text_stands_out_from_its_ground(browser: Any, pages: dict[str, str], width: int, scheme: str) -> None:
    page = opened(browser, pages["made"], width, scheme)
    assert [(round(c, 2), text) for c, text in page.evaluate(CONTRASTS) if c < 4.5] == []
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_every_figure_and_picture_is_visible(browser: Any, pages: dict[str, str], width: int) -> None:
    page = opened(browser, pages["made"], width)
    for figure in ("18.0", "12.0", "L  21.0  A  12.0  S    6.0", "0.999", "0.871"):
        cell = page.locator("table.nodules td", has_text=figure).first
        assert cell.is_visible()
    sizes = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert len(sizes) == 2 + 2 * 6
    assert min(natural for natural, _ in sizes) > 300
    assert min(shown for _, shown in sizes) > 140
    page.close()


def test_a_phone_names_every_figure_in_its_row(browser: Any, pages: dict[str, str]) -> None:
    page = opened(browser, pages["made"], 360)
    names = page.evaluate(
        "[...document.querySelectorAll('.nodules tr:nth-child(1) td')]"
        ".map(e => getComputedStyle(e, '::before').content.replaceAll('\"', ''))"
    )
    assert names == ["Slice", "Position, mm", "Diameter, mm", "Volume, mm³", "Mean HU", "P(nodule)", "P(malignant)"]
    page.close()


def test_no_script_of_a_file_runs(browser: Any, pages: dict[str, str]) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(pages["hostile"])
    page.wait_for_timeout(200)
    assert said == []
    assert page.evaluate("document.scripts.length") == 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_on_white_paper(browser: Any, pages: dict[str, str], scheme: str, tmp_path: Path) -> None:
    """A4 of 14 mm margins is 182 mm, 688 CSS pixels, wide."""
    page = opened(browser, pages["made"], 688, scheme)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    data = page.pdf(path=tmp_path / "page.pdf", format="A4", prefer_css_page_size=True)
    assert data.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 4
    page.close()
