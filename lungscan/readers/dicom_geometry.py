"""Where DICOM slices lie: one regular stack, or a refusal that says why not.

With r along a row and c down a column (ImageOrientationPatient), n = r x c, and PixelSpacing as (row step, column step), the
pixel (row j, column i) of slice k lies at P0 + r * column_step * i + c * row_step * j + n * step * k, in LPS millimetres
(DICOM PS3.3, C.7.6.2.1.1). Slices are ordered along n by their positions, never by name or number. Where the gantry was
tilted each slice lies a constant piece further aside than the one before: a shear, which `dicom_shear` undoes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lungscan.errors import InputRefused
from lungscan.volume import Array, Grid, Notice, triple

UNIT = 1e-3
"""How far a direction's length may be from 1, and two directions from perpendicular."""

SAME_DIRECTION = 1e-4
STEP_SHARE, STEP_MM = 0.01, 0.01
"""A slice may lie this share of a step, and at least this far, from its place along the normal."""

SIDEWAYS_PIXELS = 0.5
"""How far a slice may lie aside of the straight line through all of them, and that line's end aside of the first slice."""

TILT_DEGREES = 35.0
"""No gantry tilts further."""

FEW = 3
"""So many images of another direction are strays; more make the series a mixture."""


@dataclass(frozen=True)
class Placed:
    """What places one image; `passes` tells acquisitions apart that share a series."""

    name: str
    position: Array
    orientation: Array
    spacing_rc_mm: tuple[float, float]
    size_rc: tuple[int, int]
    frame: str
    passes: tuple[str, ...]
    pixels: Callable[[], memoryview | bytes | None]


@dataclass(frozen=True)
class Stack:
    """Images on a grid.

    order        : the images by slice
    drift_rc     : how many rows and columns each slice lies further aside than the one before; zeros but for a tilted gantry
    """

    grid: Grid
    order: list[int]
    drift_rc: tuple[float, float]
    notices: list[Notice]


def stacked(path: str, images: Sequence[Placed]) -> Stack:
    """The images of a series in order, the grid of the first one's pixels, and what a reader should know."""
    notices: list[Notice] = []
    kept = _one_direction(path, images, notices)
    first = images[kept[0]]
    for what, values in (
        ("sizes", {images[k].size_rc for k in kept}),
        ("pixel spacings", {images[k].spacing_rc_mm for k in kept}),
        ("frames of reference", {images[k].frame for k in kept}),
    ):
        if len(values) > 1:
            raise InputRefused(f"{path}: the slices of one series have {len(values)} different {what}; they make no volume.")
    r, c, n = _axes(first)
    along = np.array([images[k].position @ n for k in range(len(images))])
    kept = _one_pass(path, images, sorted(kept, key=lambda k: along[k]), along, notices)
    if len(kept) < 2:
        raise InputRefused(f"{path} holds a single slice, which is no volume.")
    step = _step(path, along[kept])
    rows_mm, columns_mm = first.spacing_rc_mm
    positions = np.array([images[k].position for k in kept])
    drift = _drift(path, positions, np.stack([c / rows_mm, r / columns_mm]), step)
    if any(drift):
        tilt = np.degrees(np.arctan2(np.hypot(drift[0] * rows_mm, drift[1] * columns_mm), step))
        notices.append(
            Notice(
                "tilt",
                f"The gantry was tilted by {tilt:.1f} degrees: rows were moved to their true places, by interpolation.",
            )
        )
    grid = Grid(
        (len(kept), *first.size_rc),
        (step, rows_mm, columns_mm),
        triple(images[kept[0]].position),
        np.stack([r, c, n], axis=1),
    )
    return Stack(grid, kept, drift, notices)


def _axes(image: Placed) -> tuple[Array, Array, Array]:
    r, c = image.orientation[:3], image.orientation[3:]
    lengths = np.linalg.norm(r), np.linalg.norm(c)
    if abs(lengths[0] - 1) > UNIT or abs(lengths[1] - 1) > UNIT or abs(r @ c) > UNIT:
        raise InputRefused(f"{image.name}: ImageOrientationPatient is not two perpendicular unit vectors.")
    r = r / lengths[0]
    c = c - (c @ r) * r
    c /= np.linalg.norm(c)
    return r, c, np.cross(r, c)


def _one_direction(path: str, images: Sequence[Placed], notices: list[Notice]) -> list[int]:
    """The images that share the commonest direction; a few strays are left out, a mixture is refused."""
    directions: list[tuple[Array, list[int]]] = []
    for k, image in enumerate(images):
        for known, members in directions:
            if np.abs(known - image.orientation).max() <= SAME_DIRECTION:
                members.append(k)
                break
        else:
            directions.append((image.orientation, [k]))
    directions.sort(key=lambda d: -len(d[1]))
    strays = sum(len(members) for _, members in directions[1:])
    if strays > min(FEW, len(directions[0][1]) // 4):
        raise InputRefused(f"{path}: the images of one series point in {len(directions)} directions; they make no volume.")
    if strays:
        notices.append(Notice("other-direction", f"{strays} images in another direction than the slices were left out."))
    return directions[0][1]


def _one_pass(path: str, images: Sequence[Placed], kept: list[int], along: Array, notices: list[Notice]) -> list[int]:
    """One image a position, in order. Copies are dropped; several acquisitions are told apart, the largest is taken."""
    once: list[int] = []
    copies = 0
    collide = False
    for k in kept:
        if once and abs(along[k] - along[once[-1]]) < STEP_MM:
            if images[k].pixels() == images[once[-1]].pixels():
                copies += 1
                continue
            collide = True
        once.append(k)
    if copies:
        notices.append(Notice("copies", f"{copies} images are there twice; one of each was read."))
    if not collide and not _interleaved(images, once, along):
        return once
    for attribute in range(len(images[0].passes)):
        names = Counter(images[k].passes[attribute] for k in once)
        groups = [[k for k in once if images[k].passes[attribute] == name] for name in names]
        clean = all((np.diff(along[group]) >= STEP_MM).all() for group in groups)
        if len(groups) > 1 and clean:
            largest = max(groups, key=len)
            notices.append(
                Notice(
                    "several-passes",
                    f"The series holds {len(groups)} acquisitions; the one of {len(largest)} slices was read.",
                )
            )
            return largest
    raise InputRefused(f"{path}: several images lie at one position and nothing tells which belong together.")


def _interleaved(images: Sequence[Placed], kept: list[int], along: Array) -> bool:
    """Whether two passes, each regular by itself, lie between one another's slices."""
    for attribute in range(len(images[0].passes)):
        names = [images[k].passes[attribute] for k in kept]
        if len(set(names)) != 2:
            continue
        groups = [along[[k for k, own in zip(kept, names, strict=True) if own == name]] for name in sorted(set(names))]
        regular = all(len(g) > 8 and np.ptp(np.diff(g)) <= 2 * STEP_MM for g in groups)
        overlap = min(g[-1] for g in groups) - max(g[0] for g in groups)
        if regular and overlap > 0.5 * min(np.ptp(g) for g in groups):
            return True
    return False


def _step(path: str, t: Array) -> float:
    """Distance of slices at `t` along their normal. Raises InputRefused for a gap or uneven steps."""
    steps = np.diff(t)
    usual = float(np.median(steps))
    if (wide := np.flatnonzero(steps > 1.5 * usual)).size:
        a, b = t[wide[0]], t[wide[0] + 1]
        raise InputRefused(
            f"{path}: slices are missing between {a:.2f} and {b:.2f} mm along the table (steps are {usual:.2f} mm); "
            "get the whole series."
        )
    step = float(t[-1] - t[0]) / (len(t) - 1)
    off = np.abs(t - (t[0] + step * np.arange(len(t))))
    if off.max() > max(STEP_SHARE * step, STEP_MM):
        at = int(np.abs(steps - usual).argmax())
        raise InputRefused(
            f"{path}: the distance of the slices varies from {steps.min():.2f} to {steps.max():.2f} mm, first between "
            f"{t[at]:.2f} and {t[at + 1]:.2f} mm along the table; get slices at even steps."
        )
    return step


def _drift(path: str, positions: Array, per_mm: Array, step: float) -> tuple[float, float]:
    """Rows and columns by which each slice lies aside of the one before; 0, 0 for a straight stack.

    per_mm : (2,3), what takes millimetres to rows and to columns

    Raises InputRefused when slices do not lie on one line, or that line is steeper than any gantry.
    """
    aside = (positions - positions[0]) @ per_mm.T
    number = np.arange(len(aside))
    line = np.stack([np.polyfit(number, aside[:, axis], 1) for axis in range(2)], axis=1)
    if np.abs(aside - np.outer(number, line[0]) - line[1]).max() > SIDEWAYS_PIXELS:
        raise InputRefused(f"{path}: some slices lie beside the others; the stack is not straight.")
    if np.abs(line[0]).max() * number[-1] <= SIDEWAYS_PIXELS:
        return 0.0, 0.0
    tilt = np.degrees(np.arctan2(np.hypot(*(line[0] / np.linalg.norm(per_mm, axis=1))), step))
    if tilt > TILT_DEGREES:
        raise InputRefused(f"{path}: the slices drift aside by {tilt:.1f} degrees, further than a gantry tilts.")
    return float(line[0, 0]), float(line[0, 1])
