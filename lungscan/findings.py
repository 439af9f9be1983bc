"""What a scan yields: candidates, the patient's result, and the report that holds them. Frozen; units in the names."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

from lungscan.volume import Box, Notice, Triple


@dataclass(frozen=True)
class Candidate:
    """A connected component of the mask, and what the networks say of it.

    Indices are those of the grid that the stages work on; the report gives them on the file's own grid.
    """

    centre_irc: Triple  # HU-weighted, fractions of a voxel
    centre_xyz_mm: Triple
    voxels: int
    volume_mm3: float
    diameter_mm: float  # of the sphere of this volume
    box_irc: Box
    hu_mean: float
    hu_max: int
    p_segmentation: float  # highest probability inside
    p_nodule: float | None = None
    p_malignant: float | None = None


@dataclass(frozen=True)
class Nodule:
    """One row of the report, on the file's own grid."""

    id: int
    centre_irc: Triple
    centre_xyz_mm: Triple
    slice: int  # index I nearest to the centre, counted from 0
    diameter_mm: float
    volume_mm3: float
    box_irc: Box
    hu_mean: float
    hu_max: int
    p_segmentation: float
    p_nodule: float
    p_malignant: float | None  # None when the weights hold no malignancy network
    suspicious: bool | None


@dataclass(frozen=True)
class Patient:
    """The result for the patient; `suspicious` is None when the weights hold no malignancy network."""

    suspicious: bool | None
    p_malignant_max: float | None
    rule: str


@dataclass(frozen=True)
class InputFacts:
    path: str
    format: str
    series_uid: str
    shape_irc: tuple[int, int, int]
    spacing_irc_mm: Triple
    origin_xyz_mm: Triple
    direction: tuple[Triple, Triple, Triple]  # rows of the 3x3 matrix
    sha256: str
    skipped_series: tuple[str, ...]
    facts: dict[str, str]  # what the file says of the acquisition: shown, never needed


@dataclass(frozen=True)
class LungFacts:
    volume_ml: float
    box_irc: Box


@dataclass(frozen=True)
class WeightsFacts:
    name: str
    sha256: str


@dataclass(frozen=True)
class Thresholds:
    segmentation: float
    nodule: float
    malignancy: float


@dataclass(frozen=True)
class OperatingFacts:
    """The false positives a scan that were asked for, and what the weights gave in validation at the threshold in use."""

    asked_fp_per_scan: float
    fp_per_scan: float
    sensitivity: float  # share of the nodules


@dataclass(frozen=True)
class UsedSettings:
    """What is needed to repeat the scan."""

    weights: WeightsFacts
    engine: str
    precision: str
    device: str
    thresholds: Thresholds
    rule: str
    lung_gate: bool
    operating_point: OperatingFacts | None = None  # None: the nodule threshold was not asked for in these words
    versions: dict[str, str] = field(
        default_factory=dict
    )  # Python, and the packages that read and compute beside the engine


@dataclass(frozen=True)
class CandidateCounts:
    total: int
    kept: int
    all: tuple[Nodule, ...]  # every candidate, in the nodules' form


@dataclass(frozen=True)
class Report:
    """The facts of one scan, in the shape of the JSON contract `lungscan-report/1`."""

    version: str
    created: str
    input: InputFacts
    lungs: LungFacts | None
    settings: UsedSettings
    nodules: tuple[Nodule, ...]
    candidates: CandidateCounts
    patient: Patient
    warnings: tuple[Notice, ...]
    timing_s: dict[str, float]

    def _repr_html_(self) -> str:
        """What a notebook shows. Found by name, when asked for: this floor imports nothing from above."""
        return str(import_module("lungscan.report.notebook").to_fragment(self))
