"""Painted nodules: real outlines drawn into real lungs, so that a handful of patients shows hundreds of nodules.

A nodule is drawn with its own density where it was cut out of a scan, else with the density that its texture rating tells,
and with the edge that its margin rating tells; the brighter of nodule and background is kept, so vessels run through it and
walls stay. Then the whole volume may be blurred, sharpened, thickened and given noise, as other scanners and kernels would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lungscan.recipe.shapes import Shape
from lungscan.training.cache import MOST_NODULES, Nodule
from lungscan.volume import Array, Grid, triple

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

SIZES_MM = ((4.0, 6.0, 0.2), (6.0, 10.0, 0.33), (10.0, 20.0, 0.27), (20.0, 34.0, 0.13), (34.0, 60.0, 0.07))
"""From, to and share of the painted diameters: small nodules are many, masses few."""

STRETCH, CUT_STRETCH = 1.6, 1.25
"""How far an outline is scaled, either way; one with its own density less, or its grain would show."""

CUT = 0.4  # share of the nodules that were cut out of scans, where one of the size is at hand

SOLID_HU, GROUND_GLASS_HU, CALCIUM_HU = (-60.0, 90.0), (-720.0, -430.0), (200.0, 700.0)
CALCIFIED = 0.04  # share of the solid ones
WALL_MM = 6.0  # a nodule is at the wall when its centre lies within its radius and this of it


@dataclass(frozen=True)
class Sites:
    """Where nodules may be painted, as voxel indices (n, 3): anywhere in aerated lung, near its wall, on vessels."""

    inner: Bools
    anywhere: npt.NDArray[np.intp]
    wall_mm: Floats
    vessels: npt.NDArray[np.intp]


def sites(hu: npt.NDArray[np.int16], lungs: Bools, grid: Grid) -> Sites:
    """The places of one scan. `inner` is the aerated lung closed over its vessels."""
    air = ndimage.binary_opening(lungs & (hu < -600) & (hu > -1000))
    inner = ndimage.binary_closing(air, iterations=3) & lungs
    wall = ndimage.distance_transform_edt(inner, grid.spacing_irc_mm).astype(np.float32)
    vessels = inner & (hu > -400) & (wall > 8)
    return Sites(inner, np.argwhere(air & (wall > 2)), wall, np.argwhere(vessels))


def paint(
    hu: npt.NDArray[np.int16],
    label: npt.NDArray[np.uint8],
    grid: Grid,
    where: Sites,
    shapes: Sequence[Shape],
    count: int,
    rng: np.random.Generator,
) -> list[Nodule]:
    """Draw up to `count` nodules into `hu` and their numbers into `label`, both in place; returns what was drawn.

    Numbers go on from the highest in `label`, up to MOST_NODULES. Nodules keep clear of labelled voxels and of each other.
    """
    first = int(label[label <= MOST_NODULES].max(initial=0)) + 1
    sizes, cut = np.array([shape.diameter_mm for shape in shapes]), np.array([shape.hu is not None for shape in shapes])
    drawn: list[Nodule] = []
    taken = label > 0
    for _ in range(3 * count):
        if len(drawn) == count or first + len(drawn) > MOST_NODULES:
            break
        low, high, _share = SIZES_MM[rng.choice(len(SIZES_MM), p=[share for *_, share in SIZES_MM])]
        diameter = float(rng.uniform(low, high))
        shape = _shape(shapes, sizes, cut, diameter, rng)
        centre = _centre(where, diameter, rng)
        if centre is None:
            continue
        done = _draw(
            hu, label, taken, grid, where.inner, shape, diameter / shape.diameter_mm, centre, first + len(drawn), rng
        )
        if done is not None:
            drawn.append(done)
    return drawn


def _shape(shapes: Sequence[Shape], sizes: Array, cut: Bools, diameter: float, rng: np.random.Generator) -> Shape:
    ratio = np.maximum(sizes / diameter, diameter / sizes)
    of_scans, outlines = np.flatnonzero(cut & (ratio < CUT_STRETCH)), np.flatnonzero(~cut & (ratio < STRETCH))
    return shapes[int(rng.choice(of_scans if len(of_scans) and rng.random() < CUT else outlines))]


def _centre(where: Sites, diameter_mm: float, rng: np.random.Generator) -> npt.NDArray[np.float64] | None:
    kind = rng.integers(3)
    if kind == 2 and len(where.vessels):
        return np.asarray(where.vessels[rng.integers(len(where.vessels))] + rng.normal(0, 1.5, 3))
    for _ in range(60 if kind == 1 else 1):
        at = where.anywhere[rng.integers(len(where.anywhere))]
        if kind != 1 or where.wall_mm[tuple(at)] < min(diameter_mm / 2, WALL_MM):
            return np.asarray(at + rng.uniform(-0.5, 0.5, 3))
    return None


def _draw(
    hu: npt.NDArray[np.int16],
    label: npt.NDArray[np.uint8],
    taken: Bools,
    grid: Grid,
    inner: Bools,
    shape: Shape,
    scale: float,
    centre: npt.NDArray[np.float64],
    number: int,
    rng: np.random.Generator,
) -> Nodule | None:
    spacing = np.asarray(grid.spacing_irc_mm)
    reach = np.ceil((np.linalg.norm(np.asarray(shape.distance_mm.shape) * shape.spacing_mm) * scale / 2 + 2) / spacing)
    start = np.maximum(np.rint(centre) - reach, 0).astype(int)
    stop = np.minimum(np.rint(centre) + reach + 1, hu.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    at = _placed(shape, scale, start, stop, centre, spacing, rng)
    outside = float(shape.distance_mm.min()) - 2
    distance = ndimage.map_coordinates(shape.distance_mm, at, order=1, cval=outside).astype(np.float32) * np.float32(scale)
    shown = (distance > 0) & ndimage.binary_dilation(inner[box], iterations=1)
    volume = float(shown.sum()) * grid.voxel_mm3
    diameter = (6 * volume / np.pi) ** (1 / 3)
    if taken[box][ndimage.binary_dilation(distance > -3)].any() or diameter < 0.6 * scale * shape.diameter_mm:
        return None
    density = (
        _density(shape, distance, rng) if shape.hu is None else ndimage.map_coordinates(shape.hu, at, order=1, cval=-1000)
    )
    edge_mm = {1: 1.6, 2: 1.3, 3: 1.0, 4: 0.8}.get(shape.margin, 0.6)
    share = 1 / (1 + np.exp(-np.clip(distance / edge_mm * 2, -30, 30)))
    old = hu[box].astype(np.float32)
    hu[box] = np.rint(np.maximum(old, old * (1 - share) + density * share)).astype(np.int16)
    label[box][shown] = number
    taken[box] |= distance > -3
    middle = np.argwhere(shown).mean(axis=0) + start
    return Nodule(triple(grid.xyz(middle)), float(diameter), (shape.malignancy,))


def _placed(
    shape: Shape,
    scale: float,
    start: npt.NDArray[np.int_],
    stop: npt.NDArray[np.int_],
    centre: Array,
    spacing: Array,
    rng: np.random.Generator,
) -> Array:
    """(3, ...) index into the shape's arrays of each voxel from `start` to `stop`, turned at random and scaled.

    A shape with its own density turns about the head-foot axis and is mirrored, so that its slices stay slices.
    """
    if shape.hu is None:
        turn = Rotation.random(random_state=rng).as_matrix()
    else:
        turn = Rotation.from_euler("x", rng.uniform(0, 2 * np.pi)).as_matrix() * rng.choice([-1, 1], 3)
    points = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(start, stop, strict=True)), indexing="ij"), axis=-1)
    mm = ((points - centre) * spacing) @ turn.T / scale
    middle = np.argwhere(shape.distance_mm > 0).mean(axis=0)
    return np.moveaxis(mm / np.asarray(shape.spacing_mm) + middle, -1, 0)


def _density(shape: Shape, distance: Floats, rng: np.random.Generator) -> Floats:
    """HU inside: texture 1 ground glass, 2 to 4 ground glass with a solid core, 5 solid; mottled by a smooth noise."""
    mottle = ndimage.gaussian_filter(rng.normal(0, 1, distance.shape), 1.2)
    mottle *= rng.uniform(10, 50) / (mottle.std() + 1e-6)
    solid = rng.uniform(*(CALCIUM_HU if rng.random() < CALCIFIED else SOLID_HU))
    if shape.texture >= 5 or (shape.texture == 4 and rng.random() < 0.5):
        return np.asarray(solid + mottle, dtype=np.float32)
    glass = rng.uniform(*GROUND_GLASS_HU)
    depth = float(distance.max())
    core = 0.0 if shape.texture == 1 else rng.uniform(0.3, 0.8)
    share = 1 / (1 + np.exp(-np.clip(3 * (distance - depth * (1 - core)), -30, 30))) if core else 0.0
    return np.asarray(glass + mottle + (solid - glass) * share, dtype=np.float32)


THICKER, THICK_MM = 0.4, (2.5, 5.5)  # share of the copies, and how thick their slices are


def _thicker(hu: Floats, spacing_mm: float, thickness_mm: float) -> Floats:
    """Slices as thick and as far apart as said, and linear interpolation back to where they were."""
    mean = ndimage.uniform_filter1d(hu, max(1, round(thickness_mm / spacing_mm)), axis=0, mode="nearest")
    at = np.arange(len(hu)) * spacing_mm / thickness_mm
    taken = np.rint(np.arange(int(at[-1]) + 2) * thickness_mm / spacing_mm).clip(0, len(hu) - 1).astype(int)
    below = np.floor(at).astype(int)
    part = (at - below).astype(np.float32)[:, None, None]
    return np.asarray(mean[taken[below]] * (1 - part) + mean[taken[below + 1]] * part, dtype=np.float32)


def rescanned(hu: npt.NDArray[np.int16], spacing_mm: float, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """The volume as another scanner might give it: in-plane blur or sharpening, thicker slices, noise.

    spacing_mm : from slice to slice
    """
    out = hu.astype(np.float32)
    kernel = rng.uniform(-0.6, 0.8)
    soft = ndimage.gaussian_filter(out, (0, 0.8, 0.8))
    out = soft * kernel + out * (1 - kernel) if kernel > 0 else out + (out - soft) * -kernel
    if rng.random() < THICKER:
        out = _thicker(out, spacing_mm, float(rng.uniform(*THICK_MM)))
    grain = ndimage.gaussian_filter(rng.standard_normal(out.shape, dtype=np.float32), (0.3, 0.5, 0.5))
    out += grain * (rng.uniform(2, 35) / grain.std())
    return np.asarray(np.clip(np.rint(out), -1024, 3071), dtype=np.int16)
