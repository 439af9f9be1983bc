"""kill -9 at a hundred random moments: each file is the old one or the new one, and the next run ends as if nothing was."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors import safe_open

from lungscan import files
from lungscan.batch.journal import Journal
from lungscan.errors import UsageError
from lungscan.lock import alone_in
from lungscan.phantom import writers
from lungscan.training import checkpoint
from lungscan.training.cache import Cache
from lungscan.weights import save
from tests.batch.made import MARKS, chest, contents, write_chests, write_weights
from tests.faults.steps import everything
from tests.faults.zygote import Zygote, zygote
from tests.support import random_networks
from tests.training import balls

pytestmark = pytest.mark.slow

KILLS = {"scan": 34, "batch": 24, "prepare": 24, "train": 22}
"""104. Three of four fall when something was written already."""


@dataclass(frozen=True)
class Command:
    """`whole` looks at a folder that a killed run left; `done` tells what must never be done again; `code` ends a run."""

    words: list[str]
    whole: Callable[[Path], None]
    done: Callable[[Path], dict[str, object]] = lambda _: {}
    code: int = 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six chests in in/ and a file that is none; data/, five of them as LUNA16; cache/ and card.json to train by."""
    folder = tmp_path_factory.mktemp("kills")
    write_chests(folder / "in", 6)
    (folder / "in" / "junk.zip").write_bytes(b"no zip")
    write_weights(folder / "w.safetensors")
    (folder / "data" / "subset0").mkdir(parents=True)
    (folder / "data" / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2.0,45,0,0,24\n")
    for k in range(5):
        writers.write(chest(k), folder / "data" / "subset0")
    balls.make(folder / "cache")
    (folder / "card.json").write_text(balls.card().to_json())
    save(folder / "grid.safetensors", balls.card(), random_networks(balls.card()))
    return folder


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with zygote(tmp_path_factory.mktemp("xdg")) as made:
        yield made


def reports(folder: Path) -> dict[str, object]:
    """Every file that is finished, but the events of TensorBoard, which hold times."""
    return {name: data for name, data in contents(folder).items() if "/." not in f"/{name}" and "tensorboard" not in name}


def batch_is_whole(out: Path) -> None:
    assert all((path / "nodules.csv").is_file() for path in out.glob("in__*")), "a scan's folder is there whole"


def batch_done(out: Path) -> dict[str, object]:
    """The scans that the journal knows of and whose report is there, with its time and number."""
    with (out / "journal.jsonl").open("rb") as file:
        whole = file.read().rpartition(b"\n")[0]
    copy = out.parent / "copy.jsonl"
    copy.write_bytes(whole + b"\n")
    journal = Journal(copy)
    found = {entry.row.name: out / entry.row.name / "report.json" for entry in journal if entry.row.status == "ok"}
    journal.close()
    return {name: (path.stat().st_mtime_ns, path.stat().st_ino) for name, path in found.items() if path.exists()}


def cache_is_whole(out: Path) -> None:
    for path in out.glob("[!.]*/"):
        assert {file.name for file in path.iterdir()} == {"hu.npy", "lungs.npy", "label.npy", "entry.json"}
    if any(out.glob("[!.]*/entry.json")):
        for entry in Cache(out).entries():
            Cache(out).maps(entry)


def cache_done(out: Path) -> dict[str, object]:
    return {path.parent.name: path.stat().st_ino for path in out.glob("[!.]*/entry.json")}


def run_is_whole(out: Path) -> None:
    for path in out.rglob("[!.]*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            assert file.keys()


def steps_done(out: Path) -> dict[str, object]:
    path = out / "segmentation" / checkpoint.FILE
    if not path.exists():
        return {}
    with safe_open(path, framework="numpy") as file:
        return {str(step): "done" for step in range(json.loads(file.metadata()["training"])["facts"]["step"])}


WRITE = [word for kind in ("json", "csv", "png", "nifti", "markups") for word in ("--write", kind)]
WEIGHTS = ["--weights", "w.safetensors", *MARKS]
COMMANDS = {
    "scan": Command(["scan", "in/P0/1.2.0.mhd", "-o", "out", *WEIGHTS, *WRITE], lambda _: None),
    "batch": Command(["batch", "in", "-o", "out", *WEIGHTS, "--write", "csv"], batch_is_whole, batch_done, 5),
    "prepare": Command(["prepare", "data", "--cache", "out", "--weights", "grid.safetensors"], cache_is_whole, cache_done),
    "train": Command(
        ["train", "segmentation", "--cache", "cache", "-o", "out", "--card", "card.json", "--steps", "20", "--resume"],
        run_is_whole,
        steps_done,
    ),
}


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
