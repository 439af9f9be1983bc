"""A disk that is really full or read-only: one sentence, nothing half, and with room the same command ends as ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.commands import COMMANDS, reports
from tests.faults.zygote import Zygote

ROOMS = ("4k", "16k", "60k", "200k", "800k")


def mount(*words: object) -> bool:
    if shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """`out` is a file system of its own, with little room."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", out):
        pytest.skip("this process may not mount a file system")
    yield out
    subprocess.run(["umount", "--lazy", str(out)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_full_disk(name: str, folder: Path, disk: Path, forks: Zygote, tmp_path: Path) -> None:
    command, full = COMMANDS[name], 0
    for room in ROOMS:
        assert mount("-o", f"remount,size={room}", disk)
        log = folder / "log.txt"
        log.unlink(missing_ok=True)
        code = forks.start(command.words, folder).wait()
        command.whole(disk)
        if code == command.code:
            break
        full += 1
        assert code == 2, log.read_text()
        assert "Traceback" not in log.read_text()
        (said,) = (line for line in log.read_text().splitlines() if line.startswith("lungscan: "))
        assert "cannot be written (" in said
        assert "make room there or give another place" in said
    assert full
    assert mount("-o", "remount,size=64m", disk)
    assert forks.start(command.words, folder).wait() == command.code
    got = reports(disk)
    shutil.copytree(disk, tmp_path / "got")
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert forks.start(command.words, folder).wait() == command.code
    assert got == reports(disk)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_disk_that_is_read_only(name: str, folder: Path, disk: Path, forks: Zygote) -> None:
    assert mount("-o", "remount,ro", disk)
    (folder / "log.txt").unlink(missing_ok=True)
    assert forks.start(COMMANDS[name].words, folder).wait() == 2
    (line,) = (folder / "log.txt").read_text().splitlines()
    assert line.startswith("lungscan: ")
    assert "Read-only file system" in line


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="no folder is read-only to root")
@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_folder_that_is_read_only(name: str, folder: Path, forks: Zygote) -> None:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(mode=0o555)
    (folder / "log.txt").unlink(missing_ok=True)
    assert forks.start(COMMANDS[name].words, folder).wait() == 2
    out.chmod(0o755)
    assert "Permission denied" in (folder / "log.txt").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_report_that_is_printed_to_a_full_disk(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "lungscan.commands", "weights", "show", "w.safetensors", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": full, "stderr": subprocess.PIPE, "text": True}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, **pipes)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
