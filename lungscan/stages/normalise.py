"""Volume → the grid that the networks work on, and the lungs in it."""

from __future__ import annotations

from dataclasses import replace

from lungscan.kernels.resample import resample
from lungscan.kernels.upload import upload
from lungscan.stages.lungs import Lungs, find_lungs
from lungscan.volume import Grid, Triple, Volume


def normalise(
    volume: Volume, spacing_irc_mm: Triple | None, *, lung_gate: bool, on_gpu: bool = False
) -> tuple[Volume, Lungs | None]:
    """The volume with its axes in canonical order, resampled where a spacing is asked for, and its lungs.

    Without the lung gate no lungs are looked for. Raises InputRefused when they are and there are none.
    The clip to the card's HU window is made slab by slab and crop by crop, so no clipped copy of the volume is held.
    For a GPU the HU go there, and all that follows stays there. The lungs are found on the host meanwhile, which has the
    same HU at hand: so their box is known to it without a copy back.
    """
    volume = volume.canonical()
    hu, grid = upload(volume.hu) if on_gpu else volume.hu, volume.grid
    lungs = find_lungs(volume) if lung_gate else None
    if spacing_irc_mm is not None:
        hu = resample(hu, grid.spacing_irc_mm, spacing_irc_mm)
        grid = Grid(hu.shape, spacing_irc_mm, grid.origin_xyz_mm, grid.direction)
    return replace(volume, hu=hu, grid=grid), lungs
