"""The documentation does what it says: its commands and Python are run, and what cannot be run has options that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.commands.config import Configurable
from lungscan.phantom import write_dataset
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), ROOT / "CONTRIBUTING.md"]
RUN = ["tutorial.md", *(f"how-to/{name}.md" for name in ("my-ct", "follow-up", "pacs", "ci-regression", "cluster"))]
"""Pages whose commands are run from top to bottom, but for blocks that say why not."""

BLOCK = re.compile(
    r"^(?:<!-- (?P<why>not run: .+?) -->\n)?```(?P<kind>\w+)(?: title=\"(?P<file>[\w.]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code: the file that it is, if its title names one, and why it is not run, if it says so."""

    kind: str
    file: str | None
    text: str
    why: str | None


def blocks(page: Path) -> Iterator[Block]:
    for found in BLOCK.finditer(page.read_text()):
        yield Block(found["kind"], found["file"], found["text"], found["why"])


def code(page: Path) -> Iterator[str]:
    """The lines of code of a page, fenced or indented; a backslash joins a line with the next."""
    text = page.read_text().replace("\\\n", " ")
    fenced = (block["text"] for block in BLOCK.finditer(text))
    for line in [*re.findall(r"^    .*$", text, re.MULTILINE), *(line for part in fenced for line in part.splitlines())]:
        yield " ".join(line.split("#")[0].split())


def commands() -> list[str]:
    """Every command of ours, each once."""
    return sorted({line for page in PAGES for line in code(page) if line.startswith("lungscan ")})


@pytest.mark.parametrize("line", commands())
def test_a_command_in_the_docs_has_these_options(line: str) -> None:
    words = line.split()[1:]
    name = words[:2] if words[0] in ("weights", "evaluate") else [word for word in words[:1] if not word.startswith("-")]
    help_ = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert help_.exit_code == 0, f"there is no command {' '.join(name)}"
    for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", line):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", help_.stdout), option


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One synthetic study as DICOM, for every page; of its slices the half with the nodules, to be quick."""
    (scan,) = write_dataset(tmp_path_factory.mktemp("patient"), 1, 7, "dicom")
    files = sorted(Path(scan).iterdir())
    for file in [*files[: len(files) // 4], *files[3 * len(files) // 4 :]]:
        file.unlink()
    return Path(scan)


@pytest.fixture
def desk(patient: Path, tmp_path: Path) -> Path:
    """A folder where the names that the pages use are there: SCAN, SCANS, PRIOR, NOW; and examples/."""
    for name in ("SCAN", "PRIOR", "NOW"):
        (tmp_path / name).symlink_to(patient)
    (tmp_path / "SCANS").symlink_to(patient.parent)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_run(name: str, desk: Path) -> None:
    program = desk / "bin" / "lungscan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lungscan.commands "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(desk / "none")}
    ran = 0
    for block in blocks(DOCS / name):
        if block.file is not None:
            (desk / block.file).write_text(block.text)
        elif block.kind == "bash" and block.why is None:
            shell = ["bash", "-euo", "pipefail", "-c", block.text]
            done = subprocess.run(shell, cwd=desk, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block.text}{done.stdout[-2000:]}{done.stderr[-2000:]}"
            ran += 1
    assert ran


@pytest.mark.slow
def test_the_python_of_the_library_s_page_runs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage by stage gives the nodules of the one call."""
    monkeypatch.chdir(desk)
    (desk / "patient.toml").write_text("age = 65\n")
    names: dict[str, object] = {}
    for block in blocks(DOCS / "library.md"):
        assert block.kind == "python"
        exec(compile(block.text, "docs/library.md", "exec"), names)
    import lungscan

    report = lungscan.scan("SCAN", lungscan.Settings(precision="fp32"))
    assert report.nodules
    assert names["diagnosis"].nodules == report.nodules  # type: ignore[attr-defined]
    assert sorted(file.name for file in (desk / "report").iterdir()) == ["nodules.csv", "report.json"]


def test_what_is_not_run_is_few_and_says_why() -> None:
    for name in RUN:
        assert any(block.kind == "bash" and block.why is None for block in blocks(DOCS / name)), name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_make_targets_in_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"(?:^    |^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_disclaimer_stands_in_the_readme_once() -> None:
    assert (ROOT / "README.md").read_text().count("no medical device") == 1


def test_the_table_of_variables_is_whole() -> None:
    """Every option that may be said once has a row, with an example that its option takes."""
    rows = re.findall(
        r"^\| `(LUNGSCAN_\w+)` \| `([\w-]+)` \| `([^`]+)` \|$", (DOCS / "configuration.md").read_text(), re.MULTILINE
    )
    known = {}
    for command in get_command(app).commands.values():  # type: ignore[attr-defined]
        if isinstance(command, Configurable):
            known.update({key: option.envvar for key, option in command.keys().items()})
    assert {key: variable for variable, key, _ in rows} == known
    table = {
        variable: value for variable, _, value in rows if variable not in ("LUNGSCAN_THRESHOLD_NODULE", "LUNGSCAN_WATCH")
    }
    told = CliRunner().invoke(app, ["batch", "no-such-folder"], env=table)
    assert "no-such-folder" in str(told.exception)  # every value was taken


class Settings(yaml.SafeLoader):
    """mkdocs.yml names objects of Python; they are left as they are."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, _name, node: node.value)


def test_the_site_names_pages_that_are_there_and_leaves_none_out() -> None:
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Settings)

    def named(nav: object) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        elif isinstance(nav, dict):
            for part in nav.values():
                yield from named(part)
        elif isinstance(nav, list):
            for part in nav:
                yield from named(part)

    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(named(site["nav"])) == sorted(there)


@pytest.mark.slow
def test_the_site_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    """Strict: no link leads nowhere, no name of the reference is unknown. Scripts, styles and pictures are its own."""
    pytest.importorskip("material", reason="the documentation's site needs mkdocs-material")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    fetched = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\bsrc=\"?(?:https?:)?//|<link(?![^>]*canonical)[^>]*href=\"?(?:https?:)?//"
    )
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    for page in pages:
        assert not fetched.search(page.read_text()), page.name
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()), sheet.name
    stages = (tmp_path / "reference" / "stages.html").read_text()
    assert 'id="lungscan.stages.group.group"' in stages
    assert 'id="lungscan.kernels.components.components"' in (tmp_path / "reference" / "kernels.html").read_text()
