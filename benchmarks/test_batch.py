"""A batch of real scans against one `scan` command after another, each from nothing to its reports."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.conftest import Compare
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
SCANS = ("lidc/LIDC-IDRI-0001.zip", "lidc/LIDC-IDRI-0003.zip", "lung-dx/A0001.zip", "cptac-lscc/C3N-00247.zip")
Reports = list[dict[str, Any]]


def command(*arguments: str) -> str:
    run = [sys.executable, "-m", "lungscan.commands", *arguments, "--quiet"]
    return subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def without_times(text: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(text).items() if key not in ("created", "timing_s")}


def test_batch(faster: Compare, data: Path) -> None:
    """The networks are loaded once, and one scan is read and written while another is computed."""
    paths = sorted((str(data / scan) for scan in SCANS), key=lambda path: Path(path).name)

    def ours() -> Reports:
        with tempfile.TemporaryDirectory() as folder:
            command("batch", *paths, "-o", folder)
            return [without_times(Path(folder, Path(path).name, "report.json").read_text()) for path in paths]

    def plain() -> Reports:
        return [without_times(command("scan", path, "--json")) for path in paths]

    def same(found: Reports, expected: Reports) -> None:
        assert found == expected
        assert all(report["nodules"] for report in found)

    faster(ours, plain, same=same, floor=1.3, rounds=1)
