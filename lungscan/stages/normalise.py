"""Volume → the grid that the networks work on, and the lungs in it."""

from __future__ import annotations

from dataclasses import replace

from lungscan.kernels.resample import resample
from lungscan.stages.lungs import Lungs, find_lungs
from lungscan.volume import Grid, Triple, Volume


def normalise(volume: Volume, spacing_irc_mm: Triple | None, *, lung_gate: bool) -> tuple[Volume, Lungs | None]:
    """The volume with its axes in canonical order, resampled where a spacing is asked for, and its lungs.

    Without the lung gate no lungs are looked for. Raises InputRefused when they are and there are none.
    The clip to the card's HU window is made slab by slab and crop by crop, so no clipped copy of the volume is held.
    """
    volume = volume.canonical()
    lungs = find_lungs(volume) if lung_gate else None
    if spacing_irc_mm is not None:
        hu = resample(volume.hu, volume.grid.spacing_irc_mm, spacing_irc_mm)
        old = volume.grid
        volume = replace(volume, hu=hu, grid=Grid(hu.shape, spacing_irc_mm, old.origin_xyz_mm, old.direction))
    return volume, lungs
