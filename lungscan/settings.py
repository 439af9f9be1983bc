"""What a user may choose for one scan. What the weights' card decides (window, spacing, crops) is not here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lungscan.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """Choices of one scan; None means: as the weights' card says.

    Thresholds are probabilities. The card's own come from its validation; a lower one never removes a finding.
    `fp_per_scan` asks for the nodule threshold at which validation saw at most so many false positives a scan; giving
    `threshold_nodule` too raises UsageError. `max_memory` is in bytes, of the whole process: a scan that would take more is
    worked on in smaller portions, with the same results, or refused before it is decoded.
    """

    weights: Path | None = None
    series: str | None = None
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    lung_gate: bool = True
    threshold_segmentation: float | None = None
    threshold_nodule: float | None = None
    threshold_malignancy: float | None = None
    fp_per_scan: float | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.fp_per_scan is not None and self.threshold_nodule is not None:
            raise UsageError("--fp-per-scan and --threshold-nodule both set the nodule threshold; give one of them.")
