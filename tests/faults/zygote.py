"""A process that has loaded everything lungscan needs, and forks a command of it, at once and as often as it is asked.

    python -m tests.faults.zygote        requests and answers are lines of JSON: START forks a command, WAIT tells its end

The command runs alone in a process group, whose number is its own, so that it can be killed whole.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from tests.conftest import ROOT


@dataclass(frozen=True)
class Running:
    """A command that was started. `kill` ends it and all that it started."""

    zygote: Zygote
    number: int

    def kill(self) -> None:
        os.killpg(self.number, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code, or the signal that ended it as a negative number."""
        return int(self.zygote.ask(["wait", self.number]))


class Zygote:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, request: list[object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))

    def start(self, arguments: list[str], folder: Path) -> Running:
        """`lungscan ARGUMENTS` in a folder, what it prints at the end of its log.txt."""
        return Running(self, self.ask(["start", arguments, str(folder)]))


@contextmanager
def zygote(cache: Path) -> Iterator[Zygote]:
    """With a user's cache of its own, and one thread a command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.zygote"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        yield Zygote(process)


def _load() -> None:
    """Import what the commands would, and let trainings be short and save often."""
    from multiprocessing import get_context

    import matplotlib.figure
    import torch.utils.tensorboard
    from lungscan.engines import openvino  # noqa: F401

    from lungscan import pipeline  # noqa: F401
    from lungscan.batch import local, session  # noqa: F401
    from lungscan.report import terminal, writing  # noqa: F401
    from lungscan.training import jobs, prepare, tasks

    matplotlib.figure.Figure().subplots()
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).step()  # imports more, at its first step

    torch.set_num_threads(1)
    prepare.get_context = lambda _: get_context("fork")  # type: ignore[attr-defined]
    tasks.PATCH, tasks.STACKS, jobs.LEAST_BETWEEN = 48, 4, 10
    jobs.PLANS = {name: replace(plan, save_every=1) for name, plan in jobs.PLANS.items()}


def _command(arguments: list[str], folder: str) -> NoReturn:
    os.setpgid(0, 0)
    os.chdir(folder)
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    sys.argv = ["lungscan", *arguments]
    from lungscan.commands import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    os._exit(code)  # to take apart all that was loaded would take a second


def _serve() -> None:
    _load()
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        what, *request = json.loads(line)
        if what == "start":
            answer = os.fork()
            if answer == 0:
                _command(*request)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(request[0], 0)[1])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
