"""Threads take scans as they are free for them: how many are in memory, and how an interruption ends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lungscan.batch import local
from lungscan.batch.inputs import Scan
from lungscan.batch.local import run
from lungscan.batch.outputs import FolderOutputs
from lungscan.batch.rows import FAILED, OK, Row
from lungscan.stages import Progress, silent


def told(_: Scan) -> Progress:
    return silent


def scan(k: int) -> Scan:
    return Scan(f"{k}", f"p{k}", None, "")


class Counting:
    """Stands in for an Examiner; counts the scans that are fetched and not yet handed back."""

    def __init__(self) -> None:
        self.fetched = self.handed = self.most = self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def scans(self, count: int) -> Iterator[Scan]:
        for k in range(count):
            self.fetched += 1
            self.most = max(self.most, self.fetched - self.handed)
            yield scan(k)

    def __call__(self, scan: Scan, folder: Path, progress: Progress) -> Row:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.01)
        with self._lock:
            self.at_once -= 1
        assert folder.is_dir()
        progress("segment", 1, 1)
        return Row(scan.name, scan.path, OK)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_no_more_scans_than_jobs_are_in_memory(jobs: int, tmp_path: Path) -> None:
    """However slow whoever takes the rows is."""
    counting: Any = Counting()
    names = []
    for done in run(counting.scans(20), counting, FolderOutputs(tmp_path), jobs, told):
        assert done is not None
        time.sleep(0.005)
        counting.handed += 1
        names.append(done[1].name)
    assert sorted(names, key=int) == [f"{k}" for k in range(20)]
    assert counting.most == counting.most_at_once == jobs


def test_scans_overlap(tmp_path: Path) -> None:
    """Each waits for the other: one after the other they would never end."""
    both = threading.Barrier(2, timeout=10)

    def examine(scan: Scan, _: Path, __: Progress) -> Row:
        both.wait()
        return Row(scan.name, scan.path, OK)

    examiner: Any = examine
    assert len(list(run(map(scan, range(4)), examiner, FolderOutputs(tmp_path), 2, told))) == 4


def test_a_caller_who_leaves_ends_the_scans_under_way(tmp_path: Path) -> None:
    begun, ended = [], []

    def examine(scan: Scan, _: Path, progress: Progress) -> Row:
        begun.append(scan)
        try:
            for step in range(10_000 if len(begun) > 1 else 0):
                progress("segment", step, 10_000)
                time.sleep(0.01)
        finally:
            ended.append(scan)
        return Row(scan.name, scan.path, OK)

    examiner: Any = examine
    rows = run(map(scan, range(100)), examiner, FolderOutputs(tmp_path), 2, told)
    next(rows)
    started = time.monotonic()
    rows.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5
    assert len(begun) == len(ended) < 5


def test_what_cannot_even_be_staged_is_a_row(tmp_path: Path) -> None:
    class Full(FolderOutputs):
        def stage(self, name: str) -> Path:
            raise OSError(28, "No space left on device", name)

    examiner: Any = Counting()
    (done,) = run([scan(0)], examiner, Full(tmp_path), 1, told)
    assert done is not None
    assert done[1].status == FAILED
    assert "No space left" in done[1].reason


def test_while_nothing_arrives_the_caller_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "PAUSE_S", 0.01)
    examiner: Any = Counting()
    rows = list(run([None, scan(0), *[None] * 30], examiner, FolderOutputs(tmp_path), 2, told))
    assert rows[0] is None
    assert rows[-1] is None
    assert [done[1].name for done in rows if done is not None] == ["0"]
