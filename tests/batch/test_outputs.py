"""A scan's folder and its line in the journal agree, whatever was killed where; nothing but a scan's folder is removed."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from lungscan.batch.journal import Entry, Journal
from lungscan.batch.outputs import FolderOutputs, UrlOutputs, outputs_at
from lungscan.batch.rows import OK, REFUSED, Row
from lungscan.errors import UsageError


class Killed(BaseException):
    pass


def kill(_: Entry) -> None:
    raise Killed


def staged(outputs: FolderOutputs, name: str, content: str) -> None:
    (outputs.stage(name) / "report.json").write_text(content)


@pytest.fixture
def outputs(tmp_path: Path) -> FolderOutputs:
    return FolderOutputs(tmp_path / "out")


@pytest.fixture
def journal(outputs: FolderOutputs) -> Journal:
    return Journal(outputs.home / "journal.jsonl")


FIRST, SECOND = Entry("1", Row("a", "p", OK)), Entry("2", Row("a", "p", OK))


def test_a_kill_before_the_journal_knows_leaves_the_old_outputs(outputs: FolderOutputs, journal: Journal) -> None:
    staged(outputs, "a", "old")
    outputs.keep(FIRST, journal.add)
    staged(outputs, "a", "new")
    with pytest.raises(Killed):
        outputs.keep(SECOND, kill)
    outputs.recover(journal)
    assert (outputs.home / "a" / "report.json").read_text() == "old"
    assert sorted(path.name for path in outputs.home.iterdir()) == ["a", "journal.jsonl"]
    journal.close()


def test_a_kill_after_the_journal_knows_leaves_the_new_outputs(outputs: FolderOutputs, journal: Journal) -> None:
    staged(outputs, "a", "old")
    outputs.keep(FIRST, journal.add)
    staged(outputs, "a", "new")

    def record(entry: Entry) -> None:
        journal.add(entry)
        raise Killed

    with pytest.raises(Killed):
        outputs.keep(SECOND, record)
    outputs.recover(journal)
    assert (outputs.home / "a" / "report.json").read_text() == "new"
    assert outputs.has(SECOND)
    journal.close()


def test_of_a_scan_that_is_refused_now_no_older_outputs_stay(outputs: FolderOutputs, journal: Journal) -> None:
    staged(outputs, "a", "old")
    outputs.keep(FIRST, journal.add)
    outputs.stage("a")

    def record(entry: Entry) -> None:
        journal.add(entry)
        raise Killed

    with pytest.raises(Killed):
        outputs.keep(Entry("2", Row("a", "p", REFUSED)), record)
    outputs.recover(journal)
    assert not (outputs.home / "a").exists()
    journal.close()


def test_what_is_no_scan_s_outputs_is_never_removed(outputs: FolderOutputs, journal: Journal) -> None:
    (outputs.home / "a").mkdir()
    (outputs.home / "a" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already, and is no scan's outputs"):
        outputs.stage("a")
    outputs.keep(Entry("1", Row("a", "p", REFUSED)), journal.add)
    outputs.recover(journal)
    assert (outputs.home / "a" / "mine.txt").read_text() == "mine"
    journal.close()


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be a folder to write into"):
        outputs_at(str(tmp_path / "file"))


def test_behind_a_url_a_scan_s_folder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    outputs = outputs_at("memory://outputs/run")
    assert isinstance(outputs, UrlOutputs)
    journal = Journal(outputs.home / "journal.jsonl")
    for entry, name in ((FIRST, "old.csv"), (SECOND, "new.csv")):
        folder = outputs.stage("a")
        (folder / "below").mkdir()
        (folder / "below" / name).write_text(name)
        (folder / "report.json").write_text("{}")
        outputs.keep(entry, journal.add)
    outputs.publish("summary.csv", "name\n")
    store = fsspec.filesystem("memory")
    found = sorted(path.removeprefix("/outputs/run/") for path in store.find("/outputs/run"))
    assert found == ["a/below/new.csv", "a/report.json", "summary.csv"]
    assert journal.get("a") == SECOND
    assert not any(path.is_file() for path in (outputs.home / ".part").rglob("*"))
    journal.close()
