"""README and docs name commands and options that exist, and files that are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def commands() -> list[str]:
    lines = (line.split("#")[0].strip() for page in PAGES for line in page.read_text().splitlines())
    return sorted({line for line in lines if line.startswith("lungscan ")})


@pytest.mark.parametrize("line", commands())
def test_a_command_in_the_docs_has_these_options(line: str) -> None:
    words = line.split()[1:]
    name = words[:2] if words[0] in ("weights", "evaluate") else words[:1]
    run = [sys.executable, "-c", "from lungscan.commands import main; main()", *name, "--help"]
    text = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT, env={"COLUMNS": "200"}).stdout
    for option in re.findall(r"--[a-z-]+", line):
        assert option in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_make_targets_in_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^    make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_disclaimer_stands_in_the_readme_once() -> None:
    assert (ROOT / "README.md").read_text().count("no medical device") == 1
