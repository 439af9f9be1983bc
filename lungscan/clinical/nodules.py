"""A scan's nodules → their measures, each in slices across the patient however the file lays out its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lungscan.clinical.measure import MeasuredNodule, measure
from lungscan.clinical.nodule_type import TypeCutoffs
from lungscan.findings import Nodule, Report
from lungscan.stages.outline import Cores, Examined, NoduleMask, nodule_masks
from lungscan.stages.segment import Heatmap
from lungscan.volume import Volume


def measured_nodules(examined: Examined, cutoffs: TypeCutoffs = TypeCutoffs()) -> tuple[MeasuredNodule, ...]:  # noqa: B008
    """Every nodule of the report, in its order."""
    return tuple(_measured(m, examined.volume, cutoffs) for m in nodule_masks(examined))


def measured_rows(
    examined: Examined,
    rows: Sequence[Nodule],
    cutoffs: TypeCutoffs = TypeCutoffs(),  # noqa: B008 (frozen)
) -> tuple[MeasuredNodule, ...]:
    """The same for any candidates of the report."""
    report = replace(examined.report, nodules=tuple(rows))
    return measured_nodules(_Rows(examined.volume, examined.heatmap, examined.cores, report), cutoffs)


@dataclass(frozen=True)
class _Rows:
    """A scan as if its nodules were others of its candidates."""

    volume: Volume
    heatmap: Heatmap
    cores: Cores
    report: Report


def _measured(outline: NoduleMask, volume: Volume, cutoffs: TypeCutoffs) -> MeasuredNodule:
    box = tuple(slice(low, high) for low, high in outline.box_irc)
    grid = volume.grid.part(outline.box_irc)
    hu = Volume(volume.hu[box], grid, volume.source).canonical()
    mask = Volume(outline.mask.astype(np.int16), grid, volume.source).canonical().hu > 0
    return MeasuredNodule(outline.id, measure(mask, hu.hu, hu.grid.spacing_irc_mm, cutoffs), hu.grid)
