"""Thumbnails: in a terminal with colours and nowhere else, no wider than it, the nodule in the middle."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from lungscan.report.thumbnails import SIDE, show
from tests.report.made import made


def shown(width: int = 100, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    settings = {"force_terminal": True, "color_system": "truecolor", **options}
    show(made(), Console(file=file, width=width, **settings))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "options", [{"force_terminal": False}, {"color_system": None}, {"color_system": "standard"}, {"no_color": True}]
)
def test_nothing_where_it_cannot_be_seen(options: dict[str, Any]) -> None:
    assert shown(**options) == ""
    assert shown(encoding="ascii") == ""


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_is_no_wider_than_the_terminal(width: int) -> None:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown(width).splitlines()]
    assert max(map(len, lines)) <= width
    assert sum("▀" in line for line in lines) == SIDE // 2 * (1 if width > 2 * SIDE else 2)


def test_the_nodule_is_bright_in_the_middle_and_its_place_is_told() -> None:
    text = shown(60)
    rows = [line for line in text.splitlines() if "▀" in line]
    upper = [int(level) for level in re.findall(r"\x1b\[38;2;(\d+);", rows[SIDE // 4])][:SIDE]
    assert upper[SIDE // 2] > 220  # tissue, 40 HU
    assert max(upper[:3] + upper[-3:]) < 100  # lung, -850 HU
    assert "▲ 1   18.0 mm" in text
    assert "▲ 2" not in text


def test_256_colours_serve_too() -> None:
    assert shown(color_system="256").count("▀") == 2 * SIDE * SIDE // 2
