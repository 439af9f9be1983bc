"""Every CUDA source becomes machine code for the GPUs in use, with few registers and none spilled; no GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from lungscan.kernels import cuda

from lungscan.errors import EngineUnavailable
from tests.conftest import ROOT

SOURCES = sorted(file.stem for file in (ROOT / "kernels").glob("*.cu"))
CAPABILITIES = (80, 90, 120)

REGISTERS = 48
"""A multiprocessor's 65,536 registers then hold five blocks of 256 threads, 1,280 of its 1,536 to 2,048 threads."""

ALLOWED = {"measure": 80, "clear": 96}
"""`measure` keeps 15 sums, three blocks at a time, and works on the foreground alone; `clear` writes a few kilobytes."""


@pytest.fixture(params=[(name, sm) for name in SOURCES for sm in CAPABILITIES], ids=lambda p: f"{p[0]}-sm_{p[1]}")
def target(request: pytest.FixtureRequest) -> tuple[str, int]:
    return request.param


def within_bounds(kernels: list[tuple[str, int, int]], source: str) -> None:
    """kernels : (name, registers, bytes that spill to memory)"""
    assert {name for name, *_ in kernels} == set(re.findall(r'extern "C" __global__ void (\w+)', source))
    assert [(name, spilt) for name, _, spilt in kernels if spilt] == []
    assert [(name, used) for name, used, _ in kernels if used > ALLOWED.get(name, REGISTERS)] == []


def test_nvrtc_makes_a_cubin(target: tuple[str, int], tmp_path: Path) -> None:
    name, sm = target
    try:
        cubin = cuda.compile_cubin(cuda.source(name), sm)
    except EngineUnavailable as missing:
        pytest.skip(str(missing))
    assert cubin.startswith(b"\x7fELF")
    file = tmp_path / "kernels.cubin"
    file.write_bytes(cubin)
    tool = cuobjdump()
    if tool is None:
        pytest.skip("compiled; no cuobjdump (comes with triton) to count its registers with")
    out = subprocess.run([tool, "--dump-resource-usage", file], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", out)
    within_bounds([(kernel, int(used), int(stack) + int(local)) for kernel, used, stack, local in found], cuda.source(name))


def test_nvcc_makes_a_cubin(target: tuple[str, int], tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc to compile with")
    name, sm = target
    command = [nvcc, "-O3", f"-std={cuda.STANDARD}", "-Werror", "all-warnings", "-cubin", f"-arch=sm_{sm}", "-Xptxas", "-v"]
    command += ["-o", str(tmp_path / "kernels.cubin"), str(ROOT / "kernels" / f"{name}.cu")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    each = r"entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers"
    found = re.findall(each, done.stderr, re.DOTALL)
    within_bounds([(kernel, int(used), int(out) + int(back)) for kernel, out, back, used in found], cuda.source(name))


def test_what_is_missing_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(cuda, "import_module", absent)
    with pytest.raises(EngineUnavailable, match="pip install cuda-core nvidia-cuda-nvrtc"):
        cuda.compile_cubin("", 90)


def cuobjdump() -> str | None:
    """The CUDA toolkit's own, else the one in Triton's wheel."""
    triton = find_spec("triton")
    ours = Path(triton.origin).parent / "backends/nvidia/bin/cuobjdump" if triton and triton.origin else None
    return shutil.which("cuobjdump") or (str(ours) if ours and ours.exists() else None)
