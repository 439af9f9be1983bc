"""The files about all scans, as a spreadsheet, LUNA16's script and a browser read them."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

from lungscan.batch.rows import FAILED, OK, REFUSED, Mark, Row
from lungscan.batch.summary import LISTED, index_html, predictions_csv, summary_csv, summary_jsonl

HOSTILE = '=cmd|"/C calc"!A0 <script>alert(1)</script>\u202e"&\x1b[31m'


def row(name: str, p: float | None, *marks: Mark) -> Row:
    return Row(
        name=name,
        path=f"in/{name}",
        status=OK,
        series_uid=f"1.2.{name}",
        slices=24,
        nodules=len(marks),
        suspicious=None if p is None else p >= 0.5,
        p_malignant_max=p,
        largest_mm=6.25 if marks else None,
        lungs_ml=4000.5,
        sha256="0" * 64,
        page="report.json",
        warnings=("padding", "weights"),
        marks=marks,
    )


ROWS = [
    row("a", 0.25, Mark(-1.0, 2.5, -30.125, 0.75), Mark(1.0, 2.0, 3.0, 0.5)),
    row("b", 0.75, Mark(0.0, 0.0, 0.0, 0.999999)),
    row("c", None),
    Row("d", "in/d", REFUSED, HOSTILE),
    Row("=e", HOSTILE, FAILED, "unexpected ValueError: x"),
]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_says_what_the_rows_say() -> None:
    a, b, c, d, e = table(summary_csv(ROWS))
    assert (a["name"], a["status"], a["suspicious"], a["nodules"]) == ("a", "ok", "no", "2")
    assert (a["p_malignant_max"], a["largest_mm"], a["warnings"]) == ("0.25", "6.25", "padding weights")
    assert (b["suspicious"], c["suspicious"], c["p_malignant_max"]) == ("yes", "", "")
    assert (d["status"], d["nodules"], e["status"]) == ("refused", "", "failed")


def test_no_cell_is_a_formula_or_holds_control_characters() -> None:
    for line in table(summary_csv(ROWS)):
        for cell in line.values():
            assert not cell.startswith(("=", "+", "-", "@"))
            assert cell.isprintable()


def test_json_lines_hold_the_same_facts() -> None:
    lines = [json.loads(line) for line in summary_jsonl(ROWS).splitlines()]
    assert [list(line) for line in lines] == [list(table(summary_csv(ROWS))[0])] * len(ROWS)
    assert lines[1]["suspicious"] is True
    assert lines[0]["warnings"] == ["padding", "weights"]


def test_predictions_are_luna16_s_submission() -> None:
    assert predictions_csv(ROWS).splitlines() == [
        "seriesuid,coordX,coordY,coordZ,probability",
        "1.2.a,-1.000,2.500,-30.125,0.750000",
        "1.2.a,1.000,2.000,3.000,0.500000",
        "1.2.b,0.000,0.000,0.000,0.999999",
    ]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_runs_nothing_and_fetches_nothing() -> None:
    page = Page(index_html(ROWS))
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert not any(name.startswith("on") or name == "src" for _, attributes in page.tags for name in attributes)
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text


def test_the_page_begins_with_the_most_likely_malignant_and_tells_what_was_lost() -> None:
    page = Page(index_html(ROWS))
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == [f"{k}/report.json" for k in "bac"]
    assert "1 suspicious of 5 scans" in page.text
    assert page.text.index("Not examined") < page.text.index("unexpected ValueError: x")


def test_links_survive_odd_names() -> None:
    (href,) = [a["href"] for tag, a in Page(index_html([row("ü#?%", 0.1)])).tags if tag == "a"]
    assert href == "%C3%BC%23%3F%25/report.json"


def test_a_page_of_very_many_scans_stays_one_that_opens() -> None:
    page = Page(index_html([row(f"{k:05}", 0.1) for k in range(LISTED + 7)]))
    assert sum(tag == "a" for tag, _ in page.tags) == LISTED
    assert "7 more are in summary.csv" in page.text


def test_no_scans_at_all() -> None:
    assert "0 suspicious of 0 scans" in Page(index_html([])).text
    assert len(table(summary_csv([]))) == 0
