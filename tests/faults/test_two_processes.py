"""Two processes on one cache, run or output: the second is refused, or comes after the first; nothing ever mixes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lungscan.errors import UsageError
from lungscan.lock import alone_in
from tests.faults.commands import COMMANDS, reports
from tests.faults.steps import everything
from tests.faults.zygote import Zygote

OTHERWISE = {
    "scan": ["--threshold-malignancy", "0"],
    "batch": ["--threshold-malignancy", "0"],
    "prepare": ["--compress"],
    "train": ["--seed", "1"],
}


@pytest.fixture(params=list(COMMANDS))
def name(request: pytest.FixtureRequest, folder: Path) -> str:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "log.txt").unlink(missing_ok=True)
    return str(request.param)


def test_who_comes_second_is_refused_with_the_number_of_the_first(name: str, folder: Path, forks: Zygote) -> None:
    (folder / "out").mkdir()
    with alone_in(folder / "out"):
        assert forks.start(COMMANDS[name].words, folder).wait() == 2
        assert everything(folder / "out") == {".lock"}
    (line,) = (folder / "log.txt").read_text().splitlines()
    assert line.startswith(f"lungscan: another lungscan (process {os.getpid()}) is writing into out; wait for it, or ")


@pytest.mark.slow
def test_two_at_once_end_as_one_of_them_alone(name: str, folder: Path, forks: Zygote) -> None:
    command, out = COMMANDS[name], folder / "out"
    alone = []
    for more in ([], OTHERWISE[name]):
        shutil.rmtree(out, ignore_errors=True)
        assert forks.start([*command.words, *more], folder).wait() == command.code
        alone.append(reports(out))
    assert alone[0] != alone[1]
    shutil.rmtree(out)
    both = [forks.start([*command.words, *more], folder) for more in ([], OTHERWISE[name])]
    codes = {running.wait() for running in both}
    assert command.code in codes
    assert codes <= {command.code, 2}
    assert reports(out) in alone
    assert not (out / ".lock").exists()


def test_a_lock_is_no_file_that_was_left(tmp_path: Path) -> None:
    """What a killed process leaves is there, and locks nobody out; the one who holds it removes it."""
    (tmp_path / ".lock").write_text("12345")
    (tmp_path / ".report.json.0123abcd.lungscan").write_text("half")
    with alone_in(tmp_path):
        assert everything(tmp_path) == {".lock"}
        with pytest.raises(UsageError, match=f"process {os.getpid()}"), alone_in(tmp_path):
            pass
    assert everything(tmp_path) == set()
    with alone_in(tmp_path):
        pass
