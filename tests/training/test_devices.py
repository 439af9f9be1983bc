"""Which device, and whether it has bf16: what the operating system says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lungscan.errors import EngineUnavailable
from lungscan.training import devices


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.device_of("auto") == torch.device("cpu")
    with pytest.raises(EngineUnavailable, match="--device cpu"):
        devices.device_of("cuda")


def test_each_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert devices.device_of("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(EngineUnavailable, match="number 2"):
        devices.device_of("cuda")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="a torch that does not tell")
def test_bf16_on_a_cpu_is_what_its_flags_say() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert devices.native_bf16(torch.device("cpu")) == bool({"avx512_bf16", "amx_bf16"} & flags)


def test_alone_there_is_one_process() -> None:
    with devices.team("cpu"):
        devices.wait()
        assert (devices.rank(), devices.processes()) == (0, 1)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_channels_lie_last_in_memory(shape: tuple[int, ...]) -> None:
    assert devices.moved(torch.zeros(shape), torch.device("cpu")).stride(1) == 1
