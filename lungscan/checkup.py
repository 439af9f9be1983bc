"""What a machine can run, part by part, and what would add what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from lungscan import __version__, weights
from lungscan.errors import LungscanError


@dataclass(frozen=True)
class Part:
    """One thing a scan may need. `remedy` is the command that adds it."""

    name: str
    ready: bool
    found: str
    remedy: str = ""


def checkup() -> list[Part]:
    """Every part, the indispensable ones first. Nothing heavy but OpenVINO is loaded."""
    return [
        Part(
            "lungscan", True, f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
        ),
        Part("machine", True, f"{os.cpu_count()} cores, {_memory_gb():.0f} GB of memory"),
        _weights(),
        _openvino(),
        *_packages(),
        _gpu(),
    ]


def _weights() -> Part:
    path = weights.shipped()
    try:
        card = weights.load(path).card
    except LungscanError as error:
        return Part("weights", False, str(error), "reinstall lungscan-ct")
    return Part("weights", True, f"{card.name}. {card.about.get('warning', '')}".strip())


def _openvino() -> Part:
    try:
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
    for name, purpose, extra in (
        ("onnxruntime", "the second engine", "onnxruntime"),
        ("torch", "training, and the import of the book's checkpoints", "train"),
        ("pillow", "contact sheets and overlays", "train"),
        ("matplotlib", "curves of `evaluate model`", "train"),
        ("blosc2", "compressed training caches", "train"),
    ):
        try:
            yield Part(name, True, f"{version(name)}: {purpose}")
        except PackageNotFoundError:
            yield Part(name, False, f"not installed ({purpose})", f"pip install 'lungscan-ct[{extra}]'")


def _gpu() -> Part:
    nothing = Part("gpu", False, "no NVIDIA GPU seen", "this version needs none: scans run on the CPU")
    if not (smi := shutil.which("nvidia-smi")):
        return nothing
    try:
        command = [smi, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        names = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return nothing
    return Part("gpu", True, f"{names}; training and `prepare --device cuda` use it, scans not yet") if names else nothing


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
