"""A batch that is killed again and again ends as one that never was, and does nothing twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.batch.made import MARKS, contents, write_chests, write_weights
from tests.conftest import ROOT

KILLS = 20


class Command:
    """The batch of six chests and a file that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_chests(folder / "in", 6)
        (folder / "in" / "junk.zip").write_bytes(b"no zip")
        options = ["--weights", str(write_weights(folder / "w.safetensors")), *MARKS, "--write", "csv"]
        self.command = [sys.executable, "-m", "lungscan.commands", "batch", "in", "-o", "out", *options]

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            self.command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def run(self) -> float:
        """To its end; the seconds it took."""
        started = time.monotonic()
        with self.start() as process:
            _, errors = process.communicate()
            assert process.returncode == 5, errors
        return time.monotonic() - started


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """The scans that the journal knows of, with the time and number of each one's report."""
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    names = {row["name"] for line in lines if (row := json.loads(line)["row"])["status"] == "ok"}
    reports = {name: out / name / "report.json" for name in names}
    return {name: (r.stat().st_mtime_ns, r.stat().st_ino) for name, r in reports.items() if r.exists()}


@pytest.mark.slow
def test_twenty_kills_at_any_moment_leave_no_trace(tmp_path: Path) -> None:
    command, out = Command(tmp_path), tmp_path / "out"
    usual_s = command.run()
    expected = contents(out)
    assert sum(name.endswith("report.json") for name in expected) == 6
    shutil.rmtree(out)
    rng, kills, done = random.Random(20), 0, {}
    while kills < KILLS:
        with command.start() as process:
            try:
                process.wait(rng.uniform(0.3, 1.0) * usual_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            ended = process.wait()
        now = finished(out)
        assert done.items() <= now.items(), "what was finished is not done again"
        assert all((path / "nodules.csv").is_file() for path in out.glob("in__*")), "a scan's folder is there whole"
        done = now
        if ended == 5:
            assert contents(out) == expected
            shutil.rmtree(out)
            done = {}
    command.run()
    assert done.items() <= finished(out).items()
    assert contents(out) == expected
