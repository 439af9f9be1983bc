"""The training cache and the batch against plain dictionaries, through failing disks, kills at any step, and new starts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lungscan import files
from lungscan.batch.inputs import Scan
from lungscan.batch.rows import FAILED, OK, REFUSED, Row
from lungscan.batch.session import Batch, open_batch
from lungscan.batch.work import Order, key_of
from lungscan.errors import NotWritten
from lungscan.lock import alone_in
from lungscan.settings import Settings
from lungscan.training.cache import Cache, Entry
from tests.faults.steps import everything, failing, killed
from tests.training import balls

STEPS = st.integers(1, 45)
"""At which a disk fails or a process is killed; some lie beyond the work's last."""

QUIET = settings(max_examples=40, stateful_step_count=12, deadline=None, derandomize=True, database=None)


class _Disk(RuleBasedStateMachine):
    """A folder in which processes come and go. Nothing is flushed: no power is cut here, and a disk takes its time."""

    def _begin(self) -> None:
        self.closing = ExitStack()
        self.root = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
        self.closing.enter_context(mock.patch.object(os, "fsync"))
        self.folder = self.root / "now"
        self.folder.mkdir()

    def _is_what_a_kill_left(self) -> None:
        left = self.root / "left"
        if left.exists():
            shutil.rmtree(self.folder)
            left.rename(self.folder)

    def teardown(self) -> None:
        self.closing.close()


class CacheMachine(_Disk):
    """The model: what each entry's maps hold. An entry that was being replaced is the old one, the new one or none."""

    @initialize()
    def begin(self) -> None:
        self._begin()
        self.model: dict[str, int] = {}

    def _write(self, name: str, version: int, *, compress: bool) -> None:
        maps = (np.full(balls.SHAPE, version, kind) for kind in (np.int16, np.bool_, np.uint8))
        Cache(self.folder, compress=compress).write(_entry(name, version), *maps)

    def _may_be(self, name: str, version: int) -> None:
        """After a disturbance: old, new or none, and no matter which, it is that from now on."""
        cache = Cache(self.folder)
        found = int(cache.maps(_entry(name, version))[0].max()) if cache.has(name) else None
        assert found in (self.model.get(name), version, None)
        if found is None:
            self.model.pop(name, None)
        else:
            self.model[name] = found

    @rule(name=st.sampled_from("abc"), version=st.integers(0, 9), compress=st.booleans())
    def write(self, name: str, version: int, compress: bool) -> None:
        self._write(name, version, compress=compress)
        self.model[name] = version

    @rule(
        name=st.sampled_from("abc"), version=st.integers(0, 9), at=STEPS, number=st.sampled_from([errno.ENOSPC, errno.EIO])
    )
    def write_on_a_failing_disk(self, name: str, version: int, at: int, number: int) -> None:
        with failing(at, number):
            try:
                self._write(name, version, compress=False)
            except NotWritten:
                self._may_be(name, version)
            else:
                self.model[name] = version

    @rule(name=st.sampled_from("abc"), version=st.integers(0, 9), at=STEPS)
    def kill_while_writing(self, name: str, version: int, at: int) -> None:
        with killed(at, self.folder, self.root / "left"):
            self._write(name, version, compress=False)
        self._is_what_a_kill_left()
        self._may_be(name, version)

    @rule(name=st.sampled_from("abc"))
    def remove(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self.model.pop(name, None)

    @rule()
    def another_run(self) -> None:
        with alone_in(self.folder):
            pass
        assert not [path for path in everything(self.folder) if files.UNFINISHED in path]

    @invariant()
    def lists_and_holds_what_was_written(self) -> None:
        cache = Cache(self.folder)
        assert {name for name in "abc" if cache.has(name)} == self.model.keys()
        for entry in cache.entries() if self.model else []:
            version = self.model[entry.name]
            assert entry == _entry(entry.name, version)
            assert all((array == array.dtype.type(version)).all() for array in cache.maps(entry))


def _entry(name: str, version: int) -> Entry:
    return Entry(name, f"patient {version}", "0" * 16, balls.SPACING, (0.0, 0.0, 0.0), EYE, balls.SHAPE, ())


EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class BatchMachine(_Disk):
    """The model: the status of each scan, and of those that are ok the version whose report lies there."""

    @initialize()
    def begin(self) -> None:
        self._begin()
        self.closing.enter_context(mock.patch.object(Order, "key", return_value="order"))
        self.stamps = dict.fromkeys("abc", 0)
        self.model: dict[str, tuple[str, int]] = {}

    def _scans(self) -> list[Scan]:
        return [Scan(name, f"in/{name}", None, str(stamp)) for name, stamp in self.stamps.items()]

    def _work(self, name: str, status: str, *, restart: bool = False) -> None:
        with open_batch(str(self.folder), Order(Settings()), restart=restart) as batch:
            self._one(batch, name, status)
            batch.summarise()

    def _one(self, batch: Batch, name: str, status: str) -> None:
        (scan,) = (scan for scan in self._scans() if scan.name == name)
        staged = batch.outputs.stage(name)
        if status == OK:
            files.write_text(staged / "report.json", scan.stamp)
        batch.keep(scan, Row(name, scan.path, status))

    def _found(self) -> dict[str, tuple[str, int]]:
        """What the journal and the folders say, which must not contradict each other."""
        with open_batch(str(self.folder), Order(Settings())) as batch:
            found = {}
            for name in self.stamps:
                entry, report = batch._journal.get(name), self.folder / name / "report.json"
                if entry is not None:
                    stamp = next(k for k in range(100) if entry.key == _key(name, k))
                    found[name] = (entry.row.status, stamp)
                    assert report.exists() == (entry.row.status == OK)
                    assert entry.row.status != OK or report.read_text() == str(stamp)
                else:
                    assert not report.exists()
        return found

    def _may_be(self, name: str, status: str, before: dict[str, tuple[str, int]]) -> None:
        found = self._found()
        assert found in (before, {**before, name: (status, self.stamps[name])})
        self.model = found

    @rule(name=st.sampled_from("abc"), status=st.sampled_from([OK, OK, REFUSED, FAILED]))
    def finish(self, name: str, status: str) -> None:
        self._work(name, status)
        self.model[name] = (status, self.stamps[name])

    @rule(name=st.sampled_from("abc"), status=st.sampled_from([OK, REFUSED]))
    def restart(self, name: str, status: str) -> None:
        self._work(name, status, restart=True)
        self.model = {name: (status, self.stamps[name])}

    @rule(name=st.sampled_from("abc"), status=st.sampled_from([OK, REFUSED]), at=STEPS)
    def work_on_a_failing_disk(self, name: str, status: str, at: int) -> None:
        with failing(at, errno.ENOSPC), suppress(NotWritten):
            self._work(name, status)
        self._may_be(name, status, self.model)

    @rule(name=st.sampled_from("abc"), status=st.sampled_from([OK, REFUSED]), at=STEPS)
    def kill_while_working(self, name: str, status: str, at: int) -> None:
        with killed(at, self.folder, self.root / "left"):
            self._work(name, status)
        self._is_what_a_kill_left()
        self._may_be(name, status, self.model)

    @rule(name=st.sampled_from("abc"), status=st.sampled_from([OK, REFUSED]), data=st.data())
    def kill_while_a_line_is_written(self, name: str, status: str, data: st.DataObject) -> None:
        """Before the folder is renamed, with any number of the line's bytes written."""

        def torn(batch: Batch, entry: Any) -> None:
            line = json.dumps({"key": entry.key, "row": entry.row.to_dict()}).encode()
            with (self.folder / "journal.jsonl").open("ab") as journal:
                journal.write(line[: data.draw(st.integers(0, len(line)))])
            shutil.copytree(self.folder, self.root / "left")
            batch._journal._file.truncate(batch._journal._size)

        with open_batch(str(self.folder), Order(Settings())) as batch:
            (scan,) = (scan for scan in self._scans() if scan.name == name)
            files.write_text(batch.outputs.stage(name) / "report.json", scan.stamp)
            with mock.patch.object(batch._journal, "add", lambda entry: torn(batch, entry)):
                batch.keep(scan, Row(name, scan.path, status))
        self._is_what_a_kill_left()
        assert self._found() == self.model

    @rule(name=st.sampled_from("abc"))
    def an_input_changes(self, name: str) -> None:
        self.stamps[name] += 1

    @invariant()
    def what_is_missing_is_what_is_not_finished(self) -> None:
        assert self._found() == self.model
        done = {n for n, (status, stamp) in self.model.items() if status != FAILED and stamp == self.stamps[n]}
        with open_batch(str(self.folder), Order(Settings())) as batch:
            assert {scan.name for scan in batch.missing(self._scans())} == self.stamps.keys() - done


def _key(name: str, stamp: int) -> str:
    return key_of(Scan(name, f"in/{name}", None, str(stamp)), "order")


TestCache, TestBatch = CacheMachine.TestCase, BatchMachine.TestCase
TestCache.settings = TestBatch.settings = QUIET
