"""The journal against a dictionary, through kills, torn lines, damaged lines and disks that are full."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lungscan.batch.journal import Entry, Journal
from lungscan.batch.rows import FAILED, OK, REFUSED, Mark, Row

MARKS = st.builds(Mark, *[st.floats(-500, 500)] * 3, st.floats(0, 1))
ROWS = st.builds(
    Row,
    name=st.sampled_from(["a", "b", "c"]),
    path=st.text(max_size=5),
    status=st.sampled_from([OK, REFUSED, FAILED]),
    reason=st.text(max_size=20),
    suspicious=st.none() | st.booleans(),
    warnings=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    marks=st.lists(MARKS, max_size=2).map(tuple),
)
ENTRIES = st.builds(Entry, key=st.sampled_from(["k", "l"]), row=ROWS)


class JournalMachine(RuleBasedStateMachine):
    """What was added, and nothing else, is there after whatever happened."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.jsonl"
        self.journal = Journal(self.path)
        self.added: dict[str, Entry] = {}

    @rule(entry=ENTRIES)
    def add(self, entry: Entry) -> None:
        self.journal.add(entry)
        self.added[entry.row.name] = entry

    @rule(entry=ENTRIES)
    def fail_to_flush(self, entry: Entry) -> None:
        with (
            mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")),
            pytest.raises(OSError, match="space"),
        ):
            self.journal.add(entry)

    @rule(entry=ENTRIES, data=st.data())
    def kill_while_a_line_is_written(self, entry: Entry, data: st.DataObject) -> None:
        before = self.path.stat().st_size
        self.journal.add(entry)
        self.journal._file.close()
        written = self.path.stat().st_size
        os.truncate(self.path, data.draw(st.integers(before, written - 1)))
        self.journal = Journal(self.path)

    @rule(junk=st.binary(max_size=20))
    def kill_by_a_power_cut(self, junk: bytes) -> None:
        """Of what was not flushed any bytes may be found."""
        self.journal._file.close()
        with self.path.open("ab") as file:
            file.write(junk + b"\n" + junk)
        self.journal = Journal(self.path)

    @rule()
    def close(self) -> None:
        self.journal.close()
        assert len(self.path.read_bytes().splitlines()) == len(self.added)
        self.journal = Journal(self.path)

    @rule()
    def clear(self) -> None:
        self.journal.clear()
        self.added = {}

    @invariant()
    def holds_what_was_added(self) -> None:
        assert list(self.journal) == [self.added[name] for name in sorted(self.added)]

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=15, deadline=None, derandomize=True, database=None)


def test_the_order_of_adding_leaves_no_trace(tmp_path: Path) -> None:
    entries = [Entry("k", Row(name, "p", OK)) for name in "abc"]
    for folder, order in (("one", [0, 1, 2]), ("two", [2, 0, 2, 1])):
        (tmp_path / folder).mkdir()
        journal = Journal(tmp_path / folder / "journal.jsonl")
        for k in order:
            journal.add(entries[k])
        journal.close()
    one, two = ((tmp_path / folder / "journal.jsonl").read_bytes() for folder in ("one", "two"))
    assert one == two
