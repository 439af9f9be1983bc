"""What a machine can run, part by part, and what would add what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from lungscan import __version__, weights
from lungscan.errors import LungscanError

NO_GPU = "this version needs none: scans run on the CPU"


@dataclass(frozen=True)
class Part:
    """One thing a scan may need. `remedy` is the command that adds it."""

    name: str
    ready: bool
    found: str
    remedy: str = ""


def checkup() -> list[Part]:
    """Every part, the indispensable ones first. Nothing heavy but OpenVINO is loaded, and CuPy where there is a GPU."""
    return [
        Part(
            "lungscan", True, f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
        ),
        Part("machine", True, f"{cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB of memory"),
        _weights(),
        _openvino(),
        *_packages(),
        _gpu(),
    ]


def cpu() -> str:
    """The CPU's name, as it gives itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def gpu() -> dict[str, str] | None:
    """Name, memory, driver and compute capability of the first NVIDIA GPU as its driver tells them; None without one."""
    if not (smi := shutil.which("nvidia-smi")):
        return None
    asked = ("name", "memory.total", "driver_version", "compute_cap")
    try:
        command = [smi, f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return None
    values = told.partition("\n")[0].split(", ")
    return dict(zip(("name", "memory", "driver", "capability"), values, strict=True)) if len(values) == len(asked) else None


def _weights() -> Part:
    path = weights.shipped()
    try:
        card = weights.load(path).card
    except LungscanError as error:
        return Part("weights", False, str(error), "reinstall lungscan-ct")
    return Part("weights", True, f"{card.name}. {card.about.get('warning', '')}".strip())


def _openvino() -> Part:
    from lungscan.engines.unreported import unreported

    try:
        with unreported():
            import openvino as ov
    except ImportError:
        return Part("openvino", False, "not installed", "pip install openvino")
    core = ov.Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    native = "bf16" if "BF16" in capabilities else "fp32"
    return Part(
        "openvino", True, f"{version('openvino')} on {core.get_property('CPU', 'FULL_DEVICE_NAME')}, natively {native}"
    )


def _packages() -> Iterator[Part]:
    """What is optional, by the names that the package index knows it under; the first is the one to install."""
    for name, purpose, remedy, distributions in (
        ("onnxruntime", "the second engine", "lungscan-ct[onnxruntime]", ("onnxruntime",)),
        ("nncf", "quantises the networks, `export --precision int8`", "lungscan-ct[int8]", ("nncf",)),
        ("highdicom", "DICOM SEG and SR", "lungscan-ct[dicom]", ("highdicom",)),
        ("torch", "training, the import of the book's checkpoints, and an engine", "lungscan-ct[train]", ("torch",)),
        ("matplotlib", "curves of `evaluate model`", "lungscan-ct[train]", ("matplotlib",)),
        ("blosc2", "compressed training caches", "lungscan-ct[train]", ("blosc2",)),
        ("ray", "folders of scans over several machines", "lungscan-ct[cluster]", ("ray",)),
        ("cupy", "arrays on a GPU", "lungscan-ct[gpu]", ("cupy-cuda13x", "cupy-cuda12x", "cupy")),
        ("triton", "kernels on a GPU", "lungscan-ct[gpu]", ("triton",)),
        ("cucim", "what the kernels are measured against", "lungscan-ct[gpu]", ("cucim-cu13", "cucim-cu12")),
        ("tensorrt_rtx", "engines for GeForce and RTX", "lungscan-ct[gpu]", ("tensorrt-rtx",)),
        ("tensorrt", "engines for any NVIDIA GPU", "lungscan-ct[trt]", ("tensorrt",)),
    ):
        found = _first(distributions)
        if found is None:
            yield Part(name, False, f"not installed ({purpose})", f"pip install '{remedy}'")
        else:
            yield Part(name, True, f"{found}: {purpose}")


def _first(distributions: tuple[str, ...]) -> str | None:
    """Version of the first that is installed."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _gpu() -> Part:
    facts = gpu()
    if facts is None:
        return Part("gpu", False, "no NVIDIA GPU seen", NO_GPU)
    told = f"{facts['name']}, {facts['memory']}, compute capability {facts['capability']}, driver {facts['driver']}"
    from lungscan.engines.shared_stream import capability

    try:
        capability()
    except LungscanError as missing:
        return Part("gpu", False, told, str(missing))
    engine = serving()
    if engine is None:
        return Part("gpu", False, f"{told}; no engine for it", "pip install 'lungscan-ct[gpu]'")
    return Part("gpu", True, f"{told}; scans run there by {engine} with --device cuda")


def serving() -> str | None:
    """The engine that a scan on this machine's GPU would use; None where none is installed."""
    from lungscan.engines import plan
    from lungscan.engines.shared_stream import capability

    try:
        library = plan.tensorrt()
        if plan.serves(library, capability()):
            return str(library.__name__)
    except LungscanError:
        pass
    return "torch" if find_spec("torch") is not None else None


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
