"""The slices of a judged scan that are worth a look: through each nodule and through the worst false positives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lungscan.evaluation.cases import Opened
from lungscan.evaluation.judged import Judged, p_nodule
from lungscan.evaluation.overlays import Frame, Picture, overlay, write_png
from lungscan.findings import Candidate
from lungscan.stages.segment import Heatmap
from lungscan.training.cache import IGNORED
from lungscan.volume import AIR_HU, Shape, Triple
from lungscan.weights.card import Card

WORST = 3
"""False positives that are drawn of a scan: those of highest P(nodule)."""

Mask = npt.NDArray[np.bool_]


def write_pictures(scan: Judged, opened: Opened, heatmap: Heatmap, card: Card, folder: Path) -> None:
    """NAME-nodule-K-found.png or -missed.png for each nodule, NAME-false-K.png for the worst false positives."""
    least = card.thresholds.nodule
    kept = [c for c in scan.candidates if p_nodule(c) >= least]
    centres = {
        f"nodule-{k}-{'found' if found else 'missed'}": nodule.centre_xyz_mm
        for k, (nodule, found) in enumerate(zip(scan.nodules, scan.found(least), strict=True), start=1)
    }
    worst = scan.false_positives(least)[:WORST]
    centres |= {f"false-{k}": candidate.centre_xyz_mm for k, candidate in enumerate(worst, start=1)}
    for name, xyz_mm in centres.items():
        write_png(slice_picture(xyz_mm, opened, heatmap, kept, card), folder / f"{scan.name}-{name}.png")


def slice_picture(xyz_mm: Triple, opened: Opened, heatmap: Heatmap, kept: Sequence[Candidate], card: Card) -> Picture:
    """(512,512,3), values 0 to 1: the slice through a place, as large as it fits, the kept candidates over the truth.

    Ticks point at the place. Voxels of ignored findings are neither right nor wrong.
    """
    grid = opened.volume.grid
    at = grid.irc(xyz_mm)
    i = int(np.clip(np.rint(at[0]), 0, grid.shape[0] - 1))
    label = np.asarray(opened.label[i])
    truth = (label > 0) & (label != IGNORED)
    found = _found(i, grid.shape, heatmap, kept, card) & (label != IGNORED)
    frame = Frame.of(grid.shape[1:], grid.spacing_irc_mm[1:])
    masks = (frame.framed(mask, nearest=True) > 0 for mask in (found, truth))
    picture = overlay(frame.framed(opened.volume.hu[i], outside=AIR_HU), *masks)
    frame.point(picture, at[1:])
    return picture


def _found(i: int, shape: Shape, heatmap: Heatmap, kept: Sequence[Candidate], card: Card) -> Mask:
    """(R,C): voxels of slice i over the threshold, in the candidates' boxes and what the clean-up took off their faces."""
    over, out = np.zeros((2, *shape[1:]), bool)
    (first, last), *plane = heatmap.box
    if first <= i < last:
        over[tuple(slice(*side) for side in plane)] = heatmap.values[i - first] > card.thresholds.segmentation
    taken = 1 if card.grouping.cleanup == "erosion" else 0
    for candidate in kept:
        (low, high), *sides = candidate.box_irc
        if low - taken <= i < high + taken:
            box = tuple(slice(max(a - taken, 0), b + taken) for a, b in sides)
            out[box] |= over[box]
    return out
