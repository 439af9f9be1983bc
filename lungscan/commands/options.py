"""Options that several commands share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungscan.settings import Settings


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineName(StrEnum):
    auto = "auto"
    openvino = "openvino"
    onnxruntime = "onnxruntime"
    torch = "torch"
    tensorrt = "tensorrt"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    int8 = "int8"


ScanPath = Annotated[
    Path, typer.Argument(help="DICOM folder or zip, a DICOM file, .mhd, .mha, .nii, .nii.gz, .nrrd.", show_default=False)
]
Series = Annotated[str | None, typer.Option(help="UID of the series to read, when there are several.", show_default=False)]
WeightsFile = Annotated[Path | None, typer.Option(help="A weights file; the shipped one when left out.", show_default=False)]
DeviceOption = Annotated[Device, typer.Option(help="Where the networks run.")]
EngineOption = Annotated[EngineName, typer.Option(help="What runs the networks.")]
PrecisionOption = Annotated[Precision, typer.Option(help="auto: what the device runs natively.")]
LungGate = Annotated[bool, typer.Option(help="Search the lungs alone, or everywhere.")]
_P = "; the card's own when left out."
Segmentation = Annotated[
    float | None, typer.Option(min=0.001, max=0.999, help=f"Least probability of a voxel{_P}", show_default=False)
]
Nodule = Annotated[float | None, typer.Option(min=0.0, max=1.0, help=f"Least P(nodule) of a nodule{_P}", show_default=False)]
Malignancy = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help=f"Least P(malignant) of a suspicious one{_P}", show_default=False)
]
FpPerScan = Annotated[
    float | None,
    typer.Option(
        "--fp-per-scan",
        metavar="N",
        min=0.0,
        help="Take the nodule threshold that gave at most N false positives a scan in validation.",
        show_default=False,
    ),
]


def _bytes(size: str) -> int:
    """A size as people write it: 800MB, 4GB, 3.5 GiB; a bare number is bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?))?B?", str(size).strip().upper())
    if found is None:
        raise typer.BadParameter(f"{size!r} is no size; write it as 800MB or 4GB")
    number, unit, binary = found.groups()
    power = "KMGT".index(unit) + 1 if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        metavar="SIZE",
        parser=_bytes,
        help="Stay under this (800MB, 4GB): in smaller portions, or refused.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="A traceback when something fails.")]


def settings(
    series: str | None,
    weights: Path | None,
    device: Device,
    engine: EngineName,
    precision: Precision,
    lung_gate: bool,
    thresholds: tuple[float | None, float | None, float | None],
    fp_per_scan: float | None,
    max_memory: int | None = None,
) -> Settings:
    from lungscan.settings import Settings

    engines = (device.value, engine.value, precision.value)
    return Settings(weights, series, *engines, lung_gate, *thresholds, fp_per_scan, max_memory)
