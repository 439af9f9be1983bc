"""Whatever lungscan writes: each single step towards the disk fails once, and once the process dies before it."""

from __future__ import annotations

import errno
import os
import shutil
from itertools import count
from pathlib import Path

import pytest

from lungscan import files
from lungscan.errors import LungscanError
from tests.faults.steps import everything, failing, killed, visible
from tests.faults.works import WORKS

FOLDERS = {"cache", "compressed cache", "phantom dicom", "batch"}
"""What is renamed as a folder: between the old one's going and the new one's coming it is not there for an instant."""

RUNNING = {"journal.jsonl"}
"""What is written line by line; tests/batch/test_journal.py and test_batch_states.py look at it."""


@pytest.fixture(params=list(WORKS))
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "now"))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here, and a disk takes its time
    return str(request.param)


ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
"""In turn: a full disk, a failing one, one that was made read-only."""


class Disturbed:
    """A work with its older content in `now`, to be done again and again with a new disturbance."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.work, self.now = name, WORKS[name], folder / "now"
        self.start, self.left = folder / "start", folder / "left"
        self.now.mkdir()
        self.work(self.now, 0)
        self.old = visible(self.now)
        shutil.copytree(self.now, self.start)
        self.work(self.now, 1)
        self.new = visible(self.now)
        assert self.new != self.old

    def afresh(self) -> None:
        for folder, other in ((self.now, self.start), (self.left, None)):
            shutil.rmtree(folder, ignore_errors=True)
            if other is not None:
                shutil.copytree(other, folder)

    def is_old_or_new(self, folder: Path) -> None:
        """Each file is whole, and none is lost that should be there."""
        found = {name: data for name, data in visible(folder).items() if name not in RUNNING}
        for name, data in found.items():
            assert data in (self.old.get(name), self.new.get(name)), name
        if self.name not in FOLDERS:
            assert (self.old.keys() & self.new.keys()) - RUNNING <= found.keys()

    def ends_as_if_nothing_had_been(self) -> None:
        self.work(self.now, 1)
        assert visible(self.now) == self.new


def test_a_step_that_fails_is_one_sentence_and_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    work = Disturbed(name, tmp_path)
    for at in count(1):
        work.afresh()
        said = None
        with failing(at, ERRORS[at % len(ERRORS)]) as steps:
            try:
                work.work(work.now, 1)
            except LungscanError as error:
                said = error
        if said is None:
            assert visible(work.now) == work.new, "what failed is said, unless it did not matter"
            if not steps.struck:
                break
        else:
            assert said.exit_code in (2, 4)
            assert len(str(said).splitlines()) == 1
        work.is_old_or_new(work.now)
        assert not [path for path in everything(work.now) if path.endswith(files.UNFINISHED)]
        work.ends_as_if_nothing_had_been()
    assert at > 4


def test_a_kill_at_any_step_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    work = Disturbed(name, tmp_path)
    for at in count(1):
        work.afresh()
        with killed(at, work.now, work.left) as steps:
            work.work(work.now, 1)
        if not steps.struck:
            break
        work.is_old_or_new(work.left)
        shutil.rmtree(work.now)
        work.left.rename(work.now)
        work.ends_as_if_nothing_had_been()
    assert at > 4
