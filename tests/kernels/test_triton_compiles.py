"""Every Triton kernel becomes machine code for the GPUs of 2020 to 2025, and keeps its variables in registers."""

from __future__ import annotations

import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lungscan.kernels import crop, first_level, mask, resample, stack, window
from lungscan.kernels.triton_support import Kernel

# What the launchers give: types of pointers, floating-point numbers, and constants of the book's sizes. The rest are whole.
KERNELS: dict[str, tuple[Kernel, dict[str, str], dict[str, Any]]] = {
    "window": (window._windowed, {"hu": "*i16", "out": "*fp32"}, {"BLOCK": window.BLOCK}),
    "slab": (stack._stacks, {"hu": "*i16", "out": "*fp16"}, {"pitch_column": 1, "CHANNELS": 1, "BLOCK": stack.BLOCK}),
    "stacks": (stack._stacks, {"hu": "*i16", "out": "*fp16"}, {"pitch_column": 1, "CHANNELS": 7, "BLOCK": stack.BLOCK}),
    "stacks of any strides": (stack._stacks, {"hu": "*i16", "out": "*fp32"}, {"CHANNELS": 7, "BLOCK": stack.BLOCK}),
    "resample": (
        resample._resample,
        {"hu": "*i16", "out": "*i16"}
        | {f"first_{axis}": "*i32" for axis in "irc"}
        | {f"share_{axis}": "*fp32" for axis in "irc"},
        {"pitch_column": 1, "TO_WHOLE": resample.TO_WHOLE, "BLOCK": resample.BLOCK},
    ),
    "mask": (
        mask._mask,
        {"probability": "*fp16", "words": "*i32", "level": "fp32"},
        {"BLOCK": mask.BLOCK_WORDS},
    ),
    "mask of logits": (
        mask._mask_of_logits,
        {"logits": "*fp16", "probability": "*fp32", "words": "*i32", "level": "fp32"},
        {"BLOCK": mask.BLOCK_WORDS},
    ),
    "crops": (
        crop._crops,
        {"hu": "*i16", "centres": "*fp64", "out": "*i16"},
        {"SHIFT": True, "I": 32, "R": 48, "C": 48, "TO_WHOLE": crop.TO_WHOLE, "BLOCK": crop.BLOCK},
    ),
    "first convolution": (
        first_level._conv_in,
        {"stacks": "*fp16", "norm": "*fp32", "weight": "*fp16", "edges": "*fp32", "out": "*fp16"},
        {"pitch_column": 1, "SLICES": 7, "FOLD": 1, "CHANNELS": 16, "WIDE": 16}
        | {"PIXELS": first_level.PIXELS_IN, "TERMS": first_level.TERMS},
    ),
    "first convolution, folded": (
        first_level._conv_in,
        {"stacks": "*fp16", "norm": "*fp32", "weight": "*fp16", "edges": "*fp32", "out": "*fp16"},
        {"pitch_column": 1, "SLICES": 7, "FOLD": 2, "CHANNELS": 16, "WIDE": 16}
        | {"PIXELS": first_level.PIXELS_IN, "TERMS": first_level.TERMS // 2},
    ),
    "second convolution": (
        first_level._conv_pool,
        {"x": "*fp16", "weight": "*fp16", "edges": "*fp32", "out": "*fp16", "pooled": "*fp16"},
        {"CHANNELS": 16, "WIDE": 16, "PIXELS": first_level.PIXELS_POOL},
    ),
}


def test_no_kernel_is_forgotten() -> None:
    modules = (crop, first_level, mask, resample, stack, window)
    there = {part for module in modules for part in vars(module).values() if isinstance(part, Kernel)}
    assert there == {kernel for kernel, _, _ in KERNELS.values()}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("target", [80, 90, 120])
def test_machine_code_without_spills(name: str, target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton", reason="no Triton here: pip install triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel, types, constants = KERNELS[name]
    names = list(inspect.signature(kernel.body).parameters)
    signature = {n: "constexpr" if n in constants else types.get(n, "i32") for n in names}
    pointers = {(names.index(n),): [["tt.divisibility", 16]] for n, kind in types.items() if kind.startswith("*")}
    source = ASTSource(kernel.compiled, signature, constants, pointers)
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(triton.compile(source, target=GPUTarget("cuda", target, 32)).asm["cubin"])
    cuobjdump = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    said = subprocess.run([cuobjdump, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True).stdout
    used = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
    assert used["STACK"] == used["LOCAL"] == 0  # where spilled registers would lie
    assert used["REG"] <= 128  # four blocks of 128 threads share a multiprocessor's 65,536
