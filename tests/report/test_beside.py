"""What stands beside the scan: guidelines and an earlier scan, in JSON, on the page and in a terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import jsonschema
import pytest
from rich.console import Console

from lungscan.clinical.assess import assess
from lungscan.report import guidelines
from lungscan.report.html import to_html
from lungscan.report.json import schema, to_json
from tests.clinical.hand_made import nodule
from tests.clinical.test_assess import SCREENED
from tests.commands.test_compare import COMPARISON
from tests.report.made import Made, made

ASSESSMENT = assess([nodule(1, 7.2), nodule(2, 4.0)], SCREENED)
RULE = "nodule 1: solid, baseline, 7.2 mm >= 6 and < 8 mm"


@pytest.fixture(scope="module")
def beside() -> Made:
    return replace(made(), assessment=ASSESSMENT, comparison=COMPARISON)


def test_the_json_keeps_its_contract(beside: Made) -> None:
    report = json.loads(to_json(beside.report, assessment=ASSESSMENT, comparison=COMPARISON))
    jsonschema.validate(report, schema())
    assert report["guidelines"]["scan"][0]["result"] == "3"
    assert report["guidelines"]["nodules"][1]["outcomes"][1]["missing"] == ["upper_lobe"]
    assert [n["state"] for n in report["prior"]["nodules"]] == ["growing", "new", "stable", "gone"]
    alone = json.loads(to_json(beside.report))
    assert {"guidelines", "prior"} & alone.keys() == set()


def test_the_page_gives_category_rule_and_change(beside: Made) -> None:
    page = to_html(beside)
    for words in ("Guidelines", "Since the earlier scan", "Lung-RADS v2022: 3", "+100 %", "365 days between the scans"):
        assert words in page
    assert RULE.replace(">", "&gt;").replace("<", "&lt;") in page
    assert "\x1b" not in page


def test_the_page_leaves_out_what_was_not_asked() -> None:
    page = to_html(made())
    assert 'id="guidelines"' not in page
    assert 'id="prior"' not in page


def test_a_terminal_shows_the_rule_that_fired_and_what_nobody_told() -> None:
    console = Console(file=StringIO(), width=160)
    guidelines.show(ASSESSMENT, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"Lung-RADS v2022  3  {RULE}" in said
    assert "not given: upper_lobe" in said
    assert "Fleischner Society 2017  –  it is for nodules found by chance, not for screening" in said
