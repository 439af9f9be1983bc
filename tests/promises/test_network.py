"""No socket is opened, not even by what lungscan builds on, and nothing is left in the user's home but its own cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

WATCH = """
import os, sys

def _told(event, arguments):
    if event.split(".")[0] != "socket":
        return
    asking = sys._getframe(1).f_back
    if asking is None or asking.f_code.co_name != "_has_ipv6":
        with open(os.environ["SOCKETS"], "a") as log:
            log.write(f"{event} {arguments}\\n")
    raise PermissionError(event)

sys.addaudithook(_told)
"""
"""Loaded by every Python process of a command when it starts: each touch of a socket is noted, and fails.

Not noted, though it fails, is urllib3's look whether this machine knows IPv6, by a socket that leads nowhere. pydicom loads
it where somebody installed `requests`; what lungscan installs by itself has none.
"""

QUIET_PLACES = (
    "CI",
    "TF_BUILD",
    "JENKINS_URL",
    "GITHUB_ACTIONS",
    "ORT_DISABLE_TELEMETRY",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
)
"""Variables where some packages keep silent by themselves, and those that lead away from the home folder."""

COMMANDS: Mapping[str, Sequence[str]] = {
    "scan": ("scan", "SCAN", "--write", "html", "--write", "json", "-o", "OUT/scan"),
    "scan by onnxruntime": ("scan", "SCAN", "--engine", "onnxruntime", "--json"),
    "batch": ("batch", "SCAN", "-o", "OUT/batch"),
    "inspect": ("inspect", "SCAN"),
    "doctor": ("doctor",),
}


@dataclass(frozen=True)
class Ran:
    """What a command left: sockets that Python opened, system calls for the network, files in its home."""

    code: int
    errors: str
    sockets: str
    calls: str
    home: tuple[str, ...]


@cache
def alone() -> tuple[str, ...]:
    """What starts a process in a network of its own, with nothing in it; empty where this is not allowed."""
    for command in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return ()


@cache
def tracer() -> tuple[str, ...]:
    command = ("strace", "--follow-forks", "--seccomp-bpf", "--trace=network")
    works = shutil.which("strace") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if works else ()


def run(python: Sequence[str], folder: Path) -> Ran:
    """Python under watch, with an empty home: traced, and without a network, where the machine allows it."""
    for name in ("watch", "home"):
        (folder / name).mkdir(parents=True)
    (folder / "watch/sitecustomize.py").write_text(WATCH)
    sockets, calls = folder / "sockets", folder / "calls"
    environment = {name: value for name, value in os.environ.items() if name not in QUIET_PLACES}
    environment |= {"HOME": str(folder / "home"), "SOCKETS": str(sockets), "PYTHONPATH": f"{folder / 'watch'}:{ROOT}"}
    trace = (*tracer(), f"--output={calls}") if tracer() else ()
    ran = subprocess.run(
        [*alone(), *trace, sys.executable, *python], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Ran(
        ran.returncode,
        ran.stderr,
        sockets.read_text() if sockets.exists() else "",
        "\n".join(line for line in calls.read_text().splitlines() if "(" in line) if calls.exists() else "",
        tuple(str(p.relative_to(folder / "home")) for p in (folder / "home").rglob("*") if p.is_file()),
    )


@pytest.fixture(scope="module", params=COMMANDS)
def ran(request: pytest.FixtureRequest, dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("network")
    words = [w.replace("SCAN", str(dicom)).replace("OUT", str(folder / "out")) for w in COMMANDS[request.param]]
    return run(["-m", "lungscan.commands", *words], folder / "run")


def test_no_socket_is_opened_by_python(ran: Ran) -> None:
    assert ran.code == 0, ran.errors
    assert ran.sockets == ""


def test_no_socket_is_opened_by_any_library(ran: Ran) -> None:
    if not tracer():
        pytest.skip("no strace here that may trace: apt-get install strace")
    assert ran.calls == ""


def test_nothing_is_left_at_home_but_the_cache(ran: Ran) -> None:
    assert [file for file in ran.home if not file.startswith(".cache/lungscan/")] == []


@pytest.mark.parametrize("package", ["openvino", "onnxruntime", "nncf"])
def test_what_reports_by_itself_is_silenced(package: str, tmp_path: Path) -> None:
    """Where it is loaded as lungscan loads it. What it needs to be silenced is undone: the host's environment is its own."""
    pytest.importorskip(package)
    code = (
        "import os, sys; before = dict(os.environ); from lungscan.engines.unreported import unreported\n"
        f"with unreported(): import {package}\n"
        "assert dict(os.environ) == before; assert not [m for m in sys.modules if m.startswith('openvino_telemetry')]"
    )
    told = run(["-c", code], tmp_path)
    assert told.code == 0, told.errors
    assert (told.sockets, told.calls, told.home) == ("", "", ())


def test_the_watch_sees_what_is_not_silenced(tmp_path: Path) -> None:
    """Without this the tests above could pass by seeing nothing."""
    told = run(["-c", "import urllib.request as u; u.urlopen('http://localhost:9')"], tmp_path)
    assert told.code == 1
    assert "socket.getaddrinfo" in told.sockets


def test_openvino_by_itself_would_report(tmp_path: Path) -> None:
    """What the silence is for; when this fails, `lungscan.engines.unreported` may have nothing left to do."""
    pytest.importorskip("openvino_telemetry")
    told = run(["-c", "import openvino, time; time.sleep(1)"], tmp_path)
    assert "socket.getaddrinfo" in told.sockets
    assert told.home
