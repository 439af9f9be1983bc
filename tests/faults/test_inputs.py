"""Inputs are never written to: content, times, modes and listings are the same before and after."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from lungscan.phantom import writers
from tests.batch.made import MARKS, chest
from tests.faults.commands import COMMANDS
from tests.faults.zygote import Zygote

Facts = dict[str, tuple[int, int, int, str]]


def facts(folder: Path) -> Facts:
    """Of the folder and everything in it: mode, size, time of the last change, hash."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One chest as a DICOM folder, as a zip of it, as .mhd with .zraw and as .nii.gz; all of it may only be read."""
    folder = tmp_path_factory.mktemp("inputs")
    for kind in ("dicom", "mhd", "nifti"):
        (folder / kind).mkdir()
        writers.write(chest(1), folder / kind, kind)
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        for path in sorted((folder / "dicom").rglob("*.dcm")):
            archive.write(path, path.name)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


@pytest.mark.parametrize("scan", ["dicom", "scan.zip", "mhd/1.2.1.mhd", "nifti/1.2.1.nii.gz"])
def test_a_scan_leaves_its_input_alone(scan: str, inputs: Path, folder: Path, forks: Zygote) -> None:
    before = facts(inputs)
    words = ["scan", str(inputs / scan), "--weights", "w.safetensors", *MARKS, "--write", "json", "-o", "out"]
    assert forks.start(words, folder).wait() == 0, (folder / "log.txt").read_text()
    assert facts(inputs) == before


def test_a_batch_leaves_its_inputs_alone(inputs: Path, folder: Path, forks: Zygote) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)
    before = facts(inputs)
    words = ["batch", str(inputs), "--weights", "w.safetensors", *MARKS, "-o", "out"]
    assert forks.start(words, folder).wait() == 0, (folder / "log.txt").read_text()
    assert facts(inputs) == before
    assert len(list((folder / "out").glob("*/report.json"))) == 4


@pytest.mark.parametrize(("name", "given"), [("prepare", "data"), ("train", "cache")])
def test_training_leaves_what_it_learns_from_alone(name: str, given: str, folder: Path, forks: Zygote) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)
    before = facts(folder / given)
    assert forks.start(COMMANDS[name].words, folder).wait() == 0, (folder / "log.txt").read_text()
    assert facts(folder / given) == before
