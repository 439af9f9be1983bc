"""Triton is loaded by the first launch, not by the import, and where it is missing that is said."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lungscan.kernels.triton_support import Kernel

from lungscan.errors import EngineUnavailable
from tests.conftest import ROOT


def test_a_scan_on_a_cpu_loads_neither_triton_nor_torch() -> None:
    files = "crop, mask, resample, stack, window"
    code = f"from lungscan.kernels import {files}; import sys; print(*{{'triton', 'torch', 'cupy'}} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "\n"


def test_without_triton_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(EngineUnavailable, match=r"^arrays on a GPU need Triton.*: pip install 'lungscan-ct\[gpu\]'\.$"):
        Kernel(lambda: None, ())[(1,)]
