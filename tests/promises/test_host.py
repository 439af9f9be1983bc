"""A program that uses lungscan as a library finds everything of its own as it left it, whichever thread scans.

It has loaded the packages of the field before: what they do to their own warnings when they are imported is theirs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HOST = """
import decimal, gc, locale, logging, multiprocessing, os, pathlib, random, signal, sys, tempfile, threading, warnings
import highdicom, jinja2, numpy as np, pydicom, rich.console, scipy.ndimage, scipy.sparse, SimpleITK, torch

def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

def state():
    return {
        "the root logger": (list(logging.root.handlers), logging.root.level, logging.root.manager.disable),
        "the last handler": logging.lastResort,
        "filters of warnings": list(warnings.filters),
        "how warnings are shown": warnings.showwarning,
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "the alarm": signal.getitimer(signal.ITIMER_REAL),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the folder": os.getcwd(),
        "the environment": dict(os.environ),
        "the umask": umask(),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook, sys.gettrace()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()),
        "decimals": repr(decimal.getcontext()),
        "how processes start": multiprocessing.get_start_method(allow_none=True),
        "temporary files": tempfile.tempdir,
        "random numbers": (
            hash(random.getstate()), hash(np.random.get_state()[1].tobytes()), hash(torch.get_rng_state().numpy().tobytes())
        ),
        "NumPy": (np.geterr(), np.geterrcall(), np.get_printoptions()),
        "torch": (
            torch.get_num_threads(), torch.get_num_interop_threads(), torch.is_grad_enabled(), torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled, torch.backends.cudnn.allow_tf32,
        ),
    }

def in_a_thread(work):
    failed = []
    def guarded():
        try:
            work()
        except BaseException as error:
            failed.append(error)
    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]

def scan(engine):
    import lungscan
    from lungscan.pipeline import examine
    from lungscan.report.writing import write
    found = examine(SCAN, lungscan.Settings(engine=engine))
    assert found.report.nodules
    write(("json", "html", "csv", "png", "nifti", "markups", "sr"), found, pathlib.Path(FOLDER))

def refused():
    import lungscan
    try:
        lungscan.scan(__file__)
    except lungscan.errors.InputRefused:
        return
    raise AssertionError

tempfile.gettempdir()
state()
before = state()
for work in (
    lambda: scan("auto"), refused, lambda: in_a_thread(lambda: scan("torch")), lambda: in_a_thread(refused)
):
    work()
    now = state()
    for name, value in before.items():
        assert now[name] == value, f"{name} is otherwise: {value!r}, now {now[name]!r}"
"""


def test_a_host_program_is_left_as_it_was(dicom: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="a DICOM SR needs highdicom")
    code = HOST.replace("SCAN", repr(str(dicom))).replace("FOLDER", repr(str(tmp_path)))
    (tmp_path / "host.py").write_text(code)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "host.py")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (ran.stdout, ran.stderr) == ("", "")
