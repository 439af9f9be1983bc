"""`lungscan compare`: options, the two forms of its output. The scans are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import lungscan.follow_up
from lungscan.clinical.history import Prior
from lungscan.clinical.nodule_type import Kind
from lungscan.commands.compare import compare
from lungscan.comparison.changes import Change, Seen, State, changed
from lungscan.comparison.compare import Comparison
from lungscan.comparison.registration import Alignment
from lungscan.report.side_by_side import show
from lungscan.settings import Settings
from lungscan.volume import Notice

app = typer.Typer()
app.command()(compare)

SEEN = Seen(1, 41, (62.3, -33.1, -98.4), Kind.solid, 8.4, 7.6, 8.0, 8.1, 278.3, 0.93, 0.4, False)
GROWN = replace(SEEN, id=2, slice=44, long_mm=10.0, short_mm=9.6, mean_mm=9.8, volume_mm3=556.6, diameter_mm=10.2)
FAINT = replace(SEEN, id=9, p_nodule=0.3, faint=True)
COMPARISON = Comparison(
    prior_path="2023\x1b[31m.zip",
    now_path="2024.zip",
    days=365.25,
    alignment=Alignment(np.eye(3, 4), 0.9712, 0.953, 1.0),
    changes=(
        changed(SEEN, GROWN, 1.2, 365.25),
        Change(State.new, None, SEEN, SEEN.centre_xyz_mm),
        changed(SEEN, FAINT, 0.4, 365.25),
        Change(State.gone, SEEN, None, SEEN.centre_xyz_mm),
    ),
    warnings=(Notice("slice_thickness", "slices are 5 mm apart in the earlier scan and 1 mm in the newer one."),),
    guidelines=Prior(12.0, {}),
)


class FollowUp:
    """Stands in for `lungscan.follow_up.compare`."""

    called: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> Comparison:
        self.called = arguments
        return COMPARISON


@pytest.fixture
def follow_up(monkeypatch: pytest.MonkeyPatch) -> FollowUp:
    stand_in = FollowUp()
    monkeypatch.setattr(lungscan.follow_up, "compare", stand_in)
    return stand_in


def test_options_reach_the_comparison(follow_up: FollowUp) -> None:
    arguments = ["a.zip", "b.json", "--months", "6", "--threshold-nodule", "0.2", "--device", "cpu"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    prior, now, settings, months, _ = follow_up.called
    assert (prior, now, months) == (Path("a.zip"), Path("b.json"), 6.0)
    assert settings == Settings(device="cpu", threshold_nodule=0.2)


@pytest.mark.parametrize("wrong", [["a"], ["a", "b", "--months", "0"], ["a", "b", "--months", "-1"], ["a", "b", "c"]])
def test_wrong_arguments_are_refused(follow_up: FollowUp, wrong: list[str]) -> None:
    assert CliRunner().invoke(app, wrong).exit_code == 2
    assert follow_up.called == ()


@pytest.mark.usefixtures("follow_up")
def test_json_alone_is_on_stdout() -> None:
    result = CliRunner().invoke(app, ["a", "b", "--json"])
    parsed = json.loads(result.stdout)
    assert result.stderr == ""
    assert parsed["schema"] == "lungscan-comparison/1"
    assert [n["state"] for n in parsed["nodules"]] == ["growing", "new", "stable", "gone"]
    grown = parsed["nodules"][0]
    assert (grown["volume_change"], grown["doubling_days"], grown["mean_change_mm"]) == (1.0, 365.2, 1.8)
    assert (grown["prior"]["id"], grown["now"]["id"]) == (1, 2)


@pytest.mark.parametrize("width", [80, 120])
def test_in_a_terminal_earlier_stands_beside_newer(width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    show(COMPARISON, console)
    text = console.export_text()
    for words in ("1 new, 1 stable, 1 growing, 1 gone", "8.0 → 9.8 (+1.8)", "278 → 557 (+100%)", "365 days", "no growth"):
        assert words in text
    assert "0.971" in text
    assert "1 → 9 (c)" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if "!" not in line) <= width


def test_nothing_in_either_scan() -> None:
    console = Console(width=80, file=StringIO(), record=True)
    show(replace(COMPARISON, changes=(), days=None, warnings=()), console)
    assert "No nodules in either scan" in console.export_text()


def test_help_holds_an_example() -> None:
    assert "Example: lungscan compare" in CliRunner().invoke(app, ["--help"]).stdout
