"""The way of a scan: files → read → normalise → segment → group → classify → diagnose → report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

from lungscan import __version__, budget, operating, weights
from lungscan.clock import Clock
from lungscan.engines import Engine, open_engine
from lungscan.findings import (
    Candidate,
    CandidateCounts,
    InputFacts,
    LungFacts,
    Report,
    Thresholds,
    UsedSettings,
    WeightsFacts,
)
from lungscan.kernels.world import on_host
from lungscan.networks import graph
from lungscan.readers import read
from lungscan.readers.room import Room
from lungscan.settings import Settings
from lungscan.stages import Progress, silent
from lungscan.stages.candidates import Candidates
from lungscan.stages.classify import classify
from lungscan.stages.diagnose import Diagnosis, diagnose
from lungscan.stages.group import group
from lungscan.stages.lungs import Lungs
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import Heatmap, segment
from lungscan.volume import Flat, Notice, Triple, Volume, series_hash
from lungscan.weights.card import Card

if TYPE_CHECKING:
    from lungscan.clinical.assess import Assessment
    from lungscan.comparison.compare import Comparison

COMPUTING = ("numpy", "scipy", "pydicom", "python-gdcm")
"""Packages that a report's voxels and numbers pass through, beside the engine."""


@dataclass(frozen=True)
class Examination:
    """A scan with all that led to its report. Candidates and heatmap lie on the grid of `prepared`.

    segmented  : the heatmap where it was made, on the host or on a GPU
    found      : the candidates there, with their voxels
    card       : of the networks
    assessment : what guidelines say, where the patient's facts were given
    comparison : what became of the nodules of an earlier scan, where one was given
    """

    volume: Volume
    prepared: Volume
    lungs: Lungs | None
    segmented: Heatmap
    candidates: tuple[Candidate, ...]
    found: Candidates
    report: Report
    card: Card
    assessment: Assessment | None = None
    comparison: Comparison | None = None

    @cached_property
    def heatmap(self) -> Heatmap:
        """On the host."""
        return replace(self.segmented, values=on_host(self.segmented.values))

    @cached_property
    def cores(self) -> Mapping[Triple, Flat]:
        """The voxels that each candidate was measured on, as flat indices into the heatmap, by the candidate's centre."""
        return self.found.cores()


def scan(path: str | Path, settings: Settings = Settings(), progress: Progress = silent) -> Report:  # noqa: B008 (frozen)
    """Find the nodules of one chest CT. Raises a LungscanError when the input, the weights or the engine cannot serve."""
    return examine(path, settings, progress).report


def examine(path: str | Path, settings: Settings, progress: Progress = silent) -> Examination:
    """The seven stages: the first here, the other six in `examine_volume`."""
    clock = Clock()
    with clock("load"):
        networks = Networks.open(settings)
    with clock("read"):
        volume = read(path, settings.series, networks.room(settings))
    return examine_volume(volume, networks, settings, progress, clock)


def examine_volume(
    volume: Volume, networks: Networks, settings: Settings, progress: Progress = silent, clock: Clock | None = None
) -> Examination:
    """A scan that was read, by networks that are open: many scans can share them."""
    clock = clock or Clock()
    card = networks.weights.card
    thresholds = operating.thresholds(card, settings)
    networks, portions = networks.fitting(volume, settings)
    with _place(networks, volume, settings, clock) as on_gpu:
        with clock("normalise"):
            prepared, lungs = normalise(volume, card.input.spacing_irc_mm, lung_gate=settings.lung_gate, on_gpu=on_gpu)
        with clock("segment"):
            heatmap = segment(prepared, lungs, card, networks.segmentation, progress)
        with clock("group"):
            found = group(heatmap, prepared, lungs, card, thresholds.segmentation)
        with clock("classify"):
            found = classify(
                found, prepared, card, networks.nodule, networks.malignancy, thresholds.nodule, progress, portions.crops
            )
        candidates = found.rows()
    with clock("diagnose"):
        diagnosis = diagnose(
            candidates,
            prepared.grid,
            thresholds,
            card.label_rule,
            assesses_malignancy=networks.malignancy is not None,
            file_grid=volume.grid,
        )
    with clock("report"):
        warnings = (*volume.notices, *_caveats(card, volume.source.series_uid, settings))
        report = _report(volume, lungs, diagnosis, _used(settings, networks, thresholds), warnings, clock)
    return Examination(volume, prepared, lungs, heatmap, tuple(candidates), found, report, card)


@dataclass(frozen=True)
class Networks:
    """The three networks of a weights file, each loaded in an engine."""

    weights: weights.Weights
    segmentation: Engine
    nodule: Engine
    malignancy: Engine | None

    @staticmethod
    def open(settings: Settings) -> Networks:
        loaded = weights.load(settings.weights or weights.shipped())
        operating.thresholds(loaded.card, settings)  # refuses what the card does not know before the engines start
        return _opened(loaded, settings)

    def room(self, settings: Settings) -> Room:
        """What the reading of a scan may take."""
        return budget.room(self.weights.card, self.segmentation.precision, settings.max_memory)

    def fitting(self, volume: Volume, settings: Settings) -> tuple[Networks, budget.Portions]:
        """These networks, or on a CPU the same ones in less memory, with the portions in which they stay under its bound.
        Raises InputRefused when they cannot."""
        precision, name = self.segmentation.precision, volume.source.path
        portions = budget.fitting(name, volume.grid, self.weights.card, precision, settings.max_memory)
        if portions != budget.NARROW or self.segmentation.device == "cuda":
            return self, portions
        return _opened(self.weights, settings, narrow=True), portions


def _opened(loaded: weights.Weights, settings: Settings, *, narrow: bool = False) -> Networks:
    card = loaded.card

    def engine(network: graph.Network) -> Engine:
        return open_engine(network, settings.device, settings.engine, settings.precision, narrow=narrow)

    malignancy = None
    if card.malignancy is not None and loaded.malignancy is not None:
        malignancy = engine(graph.classifier("malignancy", card, card.malignancy, loaded.malignancy))
    return Networks(
        weights=loaded,
        segmentation=engine(graph.segmentation(card, loaded.segmentation)),
        nodule=engine(graph.classifier("nodule", card, card.nodule, loaded.nodule)),
        malignancy=malignancy,
    )


@contextmanager
def _place(networks: Networks, volume: Volume, settings: Settings, clock: Clock) -> Iterator[bool]:
    """Where the arrays of a scan are: on the GPU of its engines, whether all of it has room there. If not they stay on the
    host, and each batch goes to the engine and comes back by itself: the same result, slab by slab."""
    if networks.segmentation.device != "cuda" or not budget.has_room(
        volume.grid, networks.weights.card, settings.max_memory
    ):
        yield False
        return
    from lungscan.engines.shared_stream import shared_stream

    with shared_stream(), clock.on_gpu():
        yield True


def _used(settings: Settings, networks: Networks, thresholds: Thresholds) -> UsedSettings:
    engine = networks.segmentation
    return UsedSettings(
        weights=WeightsFacts(networks.weights.card.name, networks.weights.sha256),
        engine=f"{engine.name} {engine.version}",
        precision=engine.precision,
        device=engine.device,
        thresholds=thresholds,
        rule=networks.weights.card.label_rule,
        lung_gate=settings.lung_gate,
        operating_point=operating.facts(networks.weights.card, settings),
        versions={"python": python_version(), **{name: version(name) for name in COMPUTING}},
    )


def _caveats(card: Card, series_uid: str, settings: Settings) -> Iterator[Notice]:
    """What a reader of the report must know of the weights."""
    if "warning" in card.about:
        yield Notice("weights", card.about["warning"])
    if series_hash(series_uid) in card.trained_on:
        yield Notice("trained_on", "these weights were trained on this scan: the result says nothing of their quality.")
    otherwise = settings.threshold_segmentation is not None or not settings.lung_gate
    if settings.fp_per_scan is not None and otherwise:
        yield Notice(
            "operating_point",
            "false positives a scan were measured with the card's own segmentation threshold, in the lungs alone: "
            "with these settings there may be more.",
        )


def _report(
    volume: Volume,
    lungs: Lungs | None,
    diagnosis: Diagnosis,
    used: UsedSettings,
    warnings: tuple[Notice, ...],
    clock: Clock,
) -> Report:
    grid, source = volume.grid, volume.source
    a, b, c = ((float(x), float(y), float(z)) for x, y, z in grid.direction)
    facts = InputFacts(
        path=source.path,
        format=source.format,
        series_uid=source.series_uid,
        shape_irc=grid.shape,
        spacing_irc_mm=grid.spacing_irc_mm,
        origin_xyz_mm=grid.origin_xyz_mm,
        direction=(a, b, c),
        sha256=volume.sha256(),
        skipped_series=source.skipped_series,
        facts=source.facts,
    )
    return Report(
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        input=facts,
        lungs=None if lungs is None else LungFacts(lungs.volume_ml, lungs.box(grid)),
        settings=used,
        nodules=diagnosis.nodules,
        candidates=CandidateCounts(len(diagnosis.candidates), len(diagnosis.nodules), diagnosis.candidates),
        patient=diagnosis.patient,
        warnings=warnings,
        timing_s={**clock.seconds(), "total": clock.total()},
    )
