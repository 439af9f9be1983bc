"""The four commands that write for long, on inputs so small that each takes a second, and how to look at what they wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from lungscan.batch.journal import Journal
from lungscan.phantom import writers
from lungscan.training import checkpoint
from lungscan.training.cache import Cache
from lungscan.weights import save
from tests.batch.made import MARKS, chest, contents, write_chests, write_weights
from tests.support import random_networks
from tests.training import balls


@dataclass(frozen=True)
class Command:
    """`whole` looks at a folder that a killed run left; `done` tells what must never be done again; `code` ends a run."""

    words: list[str]
    whole: Callable[[Path], None]
    done: Callable[[Path], dict[str, object]] = lambda _: {}
    code: int = 0


def make(folder: Path) -> None:
    """Six chests in in/ and a file that is none; data/, five of them as LUNA16; cache/ and card.json to train by."""
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


WRITE = [word for kind in ("json", "csv", "mha", "nifti", "markups") for word in ("--write", kind)]
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
