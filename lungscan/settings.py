"""What a user may choose for one scan. What the weights' card decides (window, spacing, crops) is not here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Choices of one scan; None means: as the weights' card says.

    Thresholds are probabilities. The card's own come from its validation; a lower one never removes a finding.
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
