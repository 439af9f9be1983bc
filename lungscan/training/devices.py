"""Where a training runs: one device or, under `torchrun`, one a process; bf16 where the device has it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lungscan.errors import EngineUnavailable

PATIENCE = timedelta(hours=12)
"""The first process alone looks for candidates and validates; the others wait so long."""


def device_of(name: str) -> torch.device:
    """The device "cpu", "cuda", or "auto" for a GPU where there is one; under `torchrun` each process has a GPU of its own.

    Raises EngineUnavailable when there is no GPU for this process.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise EngineUnavailable(
            f"there is no GPU number {index} for torch {torch.__version__}; use --device cpu, or fewer processes."
        )
    return torch.device("cuda", index)


def native_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than float32 there: on NVIDIA GPUs from Ampere on, on CPUs with AVX512_BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than our oldest torch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Convolutions and matrix products in bf16 where it is native; norms keep their statistics in float32."""
    cast: AbstractContextManager[None] = torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device))
    return cast


def moved(x: Tensor, device: torch.device) -> Tensor:
    """Network input (N, C, H, W) or (N, C, I, R, C) on the device, its channels last in memory: what convolutions like."""
    return x.to(device, memory_format=layout(x), non_blocking=True)


def layout(x: Tensor) -> torch.memory_format:
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim(), torch.contiguous_format)


@contextmanager
def team(name: str) -> Iterator[None]:
    """Join the processes that `torchrun` started, on gloo or on NCCL; alone otherwise."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    device = device_of(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        gc.collect()  # what still holds the group would keep its threads alive into the interpreter's end, which aborts
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Until every process is here."""
    if dist.is_initialized():
        dist.barrier()
