"""`lungscan batch` from files to its folder: rows, exit codes, going on, starting over, watching."""

from __future__ import annotations

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.lock import alone_in
from lungscan.pipeline import Networks
from lungscan.report.json import schema
from tests.batch.made import MARKS, contents, write_chests, write_weights
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "random.safetensors")


@pytest.fixture(scope="module", autouse=True)
def _networks_are_opened_once() -> Iterator[None]:
    with mock.patch.object(Networks, "open", functools.cache(Networks.open)):
        yield


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_chests(tmp_path / "in", 3)
    return tmp_path


@pytest.fixture
def command(weights: Path) -> list[str]:
    return ["batch", "in", "-o", "out", "--weights", str(weights), *MARKS]


def run(command: list[str], *more: str) -> Result:
    return CliRunner().invoke(app, [*command, *more])


def rows() -> dict[str, dict[str, str]]:
    with Path("out/summary.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def made_at() -> dict[str, tuple[int, int]]:
    """When each report was made, and which file it is."""
    return {str(p.parent.name): (p.stat().st_mtime_ns, p.stat().st_ino) for p in Path("out").glob("*/report.json")}


def test_every_scan_has_its_report_its_row_and_its_line(command: list[str]) -> None:
    result = run(command)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("ok ") for line in lines[:3])
    assert lines[3].startswith("3 scans: ")
    for k in range(3):
        report = json.loads(Path(f"out/in__P{k}__1.2.{k}.mhd/report.json").read_text())
        jsonschema.Draft202012Validator(schema()).validate(report)
        row = rows()[f"in/P{k}/1.2.{k}.mhd"]
        assert (row["status"], row["sha256"]) == ("ok", report["input"]["sha256"])
        assert int(row["nodules"]) == len(report["nodules"]) > 0
    with Path("out/predictions.csv").open(newline="") as file:
        marks = list(csv.DictReader(file))
    assert {mark["seriesuid"] for mark in marks} == {"1.2.0", "1.2.1", "1.2.2"}
    assert sorted(p.name for p in Path("out").iterdir() if p.is_file()) == [
        "index.html",
        "journal.jsonl",
        "predictions.csv",
        "summary.csv",
        "summary.jsonl",
    ]


def test_a_report_is_the_one_that_scan_writes(command: list[str], weights: Path) -> None:
    assert run(command).exit_code == 0
    alone = CliRunner().invoke(app, ["scan", "in/P1/1.2.1.mhd", "--weights", str(weights), *MARKS, "--json"])
    of_batch: dict[str, Any] = json.loads(Path("out/in__P1__1.2.1.mhd/report.json").read_text())
    times = ("created", "timing_s")
    assert {k: v for k, v in of_batch.items() if k not in times} == {
        k: v for k, v in json.loads(alone.stdout).items() if k not in times
    }


def test_inputs_are_left_as_they_are(command: list[str], here: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (here / "in").rglob("*") if p.is_file()}
    run(command)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (here / "in").rglob("*") if p.is_file()} == before


def test_a_failure_is_a_row_and_never_the_end(command: list[str]) -> None:
    Path("in/P1/1.2.1.zraw").write_bytes(b"cut short")
    Path("in/junk.zip").write_bytes(b"no zip")
    Path("in/list.txt").write_text("gone.mhd")
    result = run(command, "in/list.txt")
    assert result.exit_code == 5
    status = {path: row["status"] for path, row in rows().items()}
    assert status == {
        "in/P0/1.2.0.mhd": "ok",
        "in/P1/1.2.1.mhd": "refused",
        "in/P2/1.2.2.mhd": "ok",
        "in/junk.zip": "refused",
        "in/gone.mhd": "refused",
    }
    assert "no file or folder in/gone.mhd" in rows()["in/gone.mhd"]["reason"]
    assert not Path("out/in__junk.zip").exists()
    assert "3 not examined" in result.stdout
    assert run(command, "in/list.txt").exit_code == 5


def test_a_scan_that_crashes_is_tried_again_by_the_next_run(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import lungscan.batch.work as work

    examine_volume = work.examine_volume

    def crashing(volume: Any, *rest: Any) -> Any:
        if volume.source.series_uid == "1.2.1":
            raise MemoryError("no room")
        return examine_volume(volume, *rest)

    monkeypatch.setattr(work, "examine_volume", crashing)
    assert run(command).exit_code == 5
    assert rows()["in/P1/1.2.1.mhd"]["reason"] == "unexpected MemoryError: no room"
    made = made_at()
    monkeypatch.setattr(work, "examine_volume", examine_volume)
    result = run(command)
    assert result.exit_code == 0
    assert "2 of 3 scans are finished already" in result.stderr
    assert made.items() <= made_at().items()
    assert len(made_at()) == 3


def test_the_same_command_does_nothing_again(command: list[str], here: Path) -> None:
    run(command)
    made, all_of_it = made_at(), contents(here / "out")
    result = run(command)
    assert result.exit_code == 0
    assert "3 of 3 scans are finished already" in result.stderr
    assert made_at() == made
    assert contents(here / "out") == all_of_it


def test_what_changed_is_done_again_and_nothing_else(command: list[str]) -> None:
    run(command)
    made = made_at()
    os.utime("in/P1/1.2.1.mhd", (1, 1))
    run(command)
    changed = {name for name, at in made_at().items() if made[name] != at}
    assert changed == {"in__P1__1.2.1.mhd"}


@pytest.mark.parametrize("more", [["--threshold-nodule", "0.1"], ["--all-candidates"], ["--write", "csv"], ["--restart"]])
def test_other_wishes_and_restart_do_all_again(command: list[str], more: list[str]) -> None:
    run(command)
    made = made_at()
    assert run(command, *more).exit_code == 0
    assert not set(made.values()) & set(made_at().values())
    assert len(list(Path("out").glob("*/nodules.csv"))) == (3 if "csv" in more else 0)


def test_other_weights_do_all_again(command: list[str], here: Path) -> None:
    run(command)
    made = made_at()
    other = here / "other.safetensors"
    from lungscan.weights import save
    from tests.support import random_networks, small_card

    save(other, small_card(), random_networks(small_card(), seed=1))
    assert run(command, "--weights", str(other)).exit_code == 0
    assert not set(made.values()) & set(made_at().values())


def test_restart_forgets_what_is_no_longer_given(command: list[str]) -> None:
    run(command)
    shutil.rmtree("in/P0")
    run(command)
    assert len(rows()) == len(made_at()) == 3
    run(command, "--restart")
    assert len(rows()) == len(made_at()) == 2


def test_outputs_that_were_removed_are_made_again(command: list[str], here: Path) -> None:
    run(command)
    before = contents(here / "out")
    shutil.rmtree("out/in__P1__1.2.1.mhd")
    assert run(command).exit_code == 0
    assert contents(here / "out") == before


def test_all_candidates_are_in_the_submission_when_asked_for(command: list[str]) -> None:
    strict = ["--threshold-nodule", "0.999"]
    run(command, *strict)
    assert len(Path("out/predictions.csv").read_text().splitlines()) == 1
    run(command, *strict, "--all-candidates")
    assert len(Path("out/predictions.csv").read_text().splitlines()) > 3


def test_json_lines_alone_are_on_stdout_when_asked_for(command: list[str]) -> None:
    result = run(command, "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(line["path"] for line in told) == sorted(rows())
    assert sorted(result.stdout.splitlines()) == sorted(Path("out/summary.jsonl").read_text().splitlines())


@pytest.mark.parametrize(("threshold", "code"), [("0", 10), ("1", 0)])
def test_fail_on_suspicious(command: list[str], threshold: str, code: int) -> None:
    assert run(command, "--threshold-malignancy", threshold, "--fail-on-suspicious").exit_code == code
    assert run(command, "--threshold-malignancy", threshold).exit_code == 0


def test_kinds_that_an_input_cannot_give_are_refused_scan_by_scan(command: list[str]) -> None:
    pytest.importorskip("highdicom")
    assert run(command, "--write", "seg").exit_code == 5
    assert {row["status"] for row in rows().values()} == {"refused"}


def main(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lungscan.commands", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_two_batches_in_one_folder_refuse_each_other(command: list[str]) -> None:
    Path("out").mkdir()
    with alone_in(Path("out")):
        result = main(*command)
    assert result.returncode == 2
    assert f"another lungscan (process {os.getpid()}) is writing into out" in result.stderr
    assert result.stdout == ""
    assert main(*command).returncode == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["nowhere"], 2),
        (["--jobs", "0"], 2),
        (["--weights", "nowhere"], 2),
        (["--weights", "in/P0/1.2.0.mhd"], 4),
        (["--ray", "127.0.0.1:1"], 4),
        (["-o", "in"], 2),
        (["-o", "in/P0/1.2.0.mhd"], 2),
        (["--engine", "openvino", "--precision", "fp16", "--device", "cuda"], 4),
    ],
)
def test_what_cannot_be_is_said_before_the_work(command: list[str], change: list[str], code: int) -> None:
    if "--ray" in change:
        pytest.importorskip("ray")
    result = main(*command, *change)
    assert result.returncode == code, result.stderr
    assert len(result.stderr.splitlines()) == 1 or code == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_the_outputs_may_lie_behind_a_url(command: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    assert run(command).exit_code == 0
    for _ in range(2):
        result = run(command, "-o", "memory://batch/out")
        assert result.exit_code == 0, result.output
    assert "3 of 3 scans are finished already" in result.stderr
    fsspec.filesystem("memory").get("/batch/out", str(here / "got"), recursive=True)
    expected = contents(here / "out")
    assert contents(here / "got") == {k: v for k, v in expected.items() if k != "journal.jsonl"}


@contextmanager
def started(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive its test."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, text=True, env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def test_watching_takes_studies_as_they_become_whole_until_ctrl_c(command: list[str], here: Path) -> None:
    shutil.move("in", "ready")
    Path("in").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    arguments = [sys.executable, "-m", "lungscan.commands", *command, "--watch", "--settle", "2"]
    with started(arguments, environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for k in (1, 0):
            Path(f"in/P{k}").mkdir()
            for name in (f"1.2.{k}.mhd", f"1.2.{k}.zraw"):  # the voxels come after the header
                shutil.copy(f"ready/P{k}/{name}", f"in/P{k}")
                time.sleep(0.2)
            assert process.stdout.readline().startswith(f"ok       in__P{k}__1.2.{k}.mhd")
        deadline = time.monotonic() + 20
        while not (Path("out/summary.csv").exists() and len(rows()) == 2) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(rows()) == 2
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "lungscan: interrupted; what was finished is kept."
    assert len(made_at()) == 2
    assert not (here / "out" / ".part").exists()


def test_an_interruption_keeps_what_is_finished(command: list[str], here: Path) -> None:
    run(command)
    expected = contents(here / "out")
    shutil.rmtree("out")
    arguments = [sys.executable, "-m", "lungscan.commands", *command, "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with started(arguments, environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode in (130, 0)  # 0 when it came too late
    made = made_at()
    assert 1 <= len(made) == len(rows())
    assert run(command).exit_code == 0
    assert made.items() <= made_at().items()
    assert contents(here / "out") == expected


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lungscan.commands import app; app(['batch', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "Example: lungscan batch" in out
    assert not {"numpy", "pydicom", "openvino", "ray", "fsspec", "jinja2"} & set(out.splitlines()[-1].split())
