"""kill -9 at a hundred random moments: each file is the old one or the new one, and the next run ends as if nothing was."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from lungscan import files
from lungscan.errors import UsageError
from lungscan.lock import alone_in
from tests.faults.commands import COMMANDS, reports
from tests.faults.steps import everything
from tests.faults.zygote import Zygote

pytestmark = pytest.mark.slow

KILLS = {"scan": 34, "batch": 24, "prepare": 24, "train": 22}
"""104. Three of four fall when something was written already."""


@pytest.mark.parametrize("name", list(COMMANDS))
def test_it_may_be_killed_at_any_moment(name: str, folder: Path, forks: Zygote) -> None:
    command, out = COMMANDS[name], folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    if name == "scan":
        assert forks.start([*command.words, "--threshold-malignancy", "0"], folder).wait() == 0
    old = {} if name != "scan" else reports(out)
    start = folder / "start"
    shutil.rmtree(start, ignore_errors=True)
    if old:
        shutil.copytree(out, start)
    began = time.monotonic()
    assert forks.start(command.words, folder).wait() == command.code, (folder / "log.txt").read_text()
    usual_s = time.monotonic() - began
    new = reports(out)
    assert new != old
    rng, kills, done = random.Random(name), 0, {}
    shutil.rmtree(out)
    while kills < KILLS[name]:
        if old and not out.exists():
            shutil.copytree(start, out)
        running = forks.start(command.words, folder)
        if kills % 4:
            until_written(out, usual_s)
        time.sleep(rng.uniform(0, 0.25 if kills % 4 else 0.8) * usual_s)
        running.kill()
        code = running.wait()
        kills += code == -9
        assert code in (-9, command.code), (folder / "log.txt").read_text()
        if not out.exists():
            continue
        command.whole(out)
        nobody_holds(out)
        now = command.done(out)
        assert done.items() <= now.items(), "what was finished is not done again"
        done = now
        if old:
            found = reports(out)
            assert old.keys() & new.keys() <= found.keys()
            assert not [path for path, data in found.items() if data not in (old.get(path), new.get(path))]
        if old or code == command.code:
            shutil.rmtree(out)
            done = {}
    assert forks.start(command.words, folder).wait() == command.code
    assert done.items() <= command.done(out).items()
    assert reports(out) == new
    assert not [path for path in everything(out) if path.endswith(files.UNFINISHED) or path.endswith(".lock")]


def files_in(out: Path) -> set[str]:
    return {f"{folder}/{name}" for folder, _, names in os.walk(out) for name in names}


def until_written(out: Path, usual_s: float) -> None:
    """A first file, besides the lock, or a long time."""
    before, end = files_in(out) | {str(out / ".lock")}, time.monotonic() + usual_s
    while files_in(out) <= before and time.monotonic() < end:
        time.sleep(0.001)


def nobody_holds(out: Path) -> None:
    """At once; but workers that were forked, as a zygote's are, take the lock along until they too are dead."""
    for patience in range(100):
        try:
            with alone_in(out):
                return
        except UsageError:
            time.sleep(0.001 * patience)
    raise AssertionError("a killed process keeps others out")
