"""Nodules of known place, size and kind: their shapes, where they lie, how four readers rate them, how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungscan.phantom.atlas import Atlas
from lungscan.phantom.canvas import Field, Tubes, box_axes, frame_mm, share, tubes_in_boxes
from lungscan.phantom.vessels import Tree
from lungscan.volume import Array, Grid, Triple

KINDS = ("solid", "part-solid", "ground-glass", "spiculated", "juxtapleural", "juxtavascular", "calcified")
SHARES = (0.24, 0.12, 0.12, 0.14, 0.16, 0.12, 0.10)
RANGE_MM = {"part-solid": (7.0, 26.0), "ground-glass": (6.0, 24.0), "spiculated": (8.0, 30.0), "calcified": (4.0, 14.0)}
"""Diameters of the kinds that do not take the whole range of 4 to 30 mm."""

GAP_MM = 8.0
"""Between two nodules' surfaces, so that each is a component of its own."""


@dataclass(frozen=True)
class PhantomNodule:
    """The truth about one nodule. `diameter_mm` is volume-equivalent; spicules do not count to it."""

    centre_xyz_mm: Triple  # centre of mass
    diameter_mm: float
    kind: str
    ratings: tuple[int, int, int, int]  # four readers' malignancy, 1 to 5


@dataclass(frozen=True)
class Shape:
    """How a nodule is drawn: a star-shaped body with waves on its surface, densities, a core, spicules.

    The body's surface lies at `radius(direction)` from `middle_xyz_mm`; volume and centre of mass are exact.
    """

    middle_xyz_mm: Array
    scale_mm: float
    axes: Array  # (3,3): rows are the ellipsoid's axes, divided by their relative lengths
    waves: Array  # (W,5): direction, frequency, amplitude
    hu: float
    core_hu: float | None
    core_xyz_mm: Array
    core_mm: float
    edge_mm: float
    spicules: Tubes | None

    def radius(self, unit: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return self.scale_mm * _star(unit, self.axes, self.waves)


def _star(unit: npt.NDArray[np.floating], axes: Array, waves: Array) -> npt.NDArray[np.floating]:
    """Radius of the unscaled body along unit vectors (...,3)."""
    ellipsoid = 1 / np.linalg.norm(unit @ axes.T.astype(unit.dtype), axis=-1)
    surface = sum(w[4] * np.sin(w[3] * (unit @ w[:3].astype(unit.dtype))) for w in waves)
    return np.asarray(ellipsoid * (1 + surface))


def _sphere(count: int) -> Array:
    """Evenly spread unit vectors (count,3) on a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, k * np.pi * (1 + 5**0.5)
    ring = np.sqrt(1 - z * z)
    return np.column_stack([ring * np.cos(turn), ring * np.sin(turn), z])


def shape_of(nodule: PhantomNodule, rng: np.random.Generator) -> Shape:
    """A body of exactly the nodule's volume and centre of mass: both are integrals of its radius over all directions."""
    radius = nodule.diameter_mm / 2
    frame = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes = frame / rng.uniform(0.84, 1.18, 3)[:, None]
    count = 6 if nodule.kind == "spiculated" else 3
    depth = 0.06 if nodule.kind == "spiculated" else 0.045
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    waves = np.column_stack([directions, rng.uniform(2, 6, count), rng.uniform(0.3, 1, count) * depth])
    unit = _sphere(4000)
    r = _star(unit, axes, waves)
    scale = radius / np.mean(r**3) ** (1 / 3)
    offset = 0.75 * np.mean(r[:, None] ** 4 * unit, axis=0) / np.mean(r**3) * scale
    middle = np.asarray(nodule.centre_xyz_mm) - offset
    hu, core_hu, core, edge = 40.0, None, 0.0, 0.9
    match nodule.kind:
        case "part-solid":
            hu, core_hu, core, edge = rng.uniform(-640, -480), rng.uniform(-20, 50), rng.uniform(0.4, 0.55), 2.0
        case "ground-glass":
            hu, edge = rng.uniform(-650, -450), 2.2
        case "calcified":
            core_hu, core = rng.uniform(350, 800), rng.uniform(0.6, 0.8)
    if edge < 1:
        hu = rng.uniform(10, 70)
    core_place = middle + _unit(rng) * radius * (1 - core) * rng.uniform(0, 0.5)
    spicules = _spicules(middle, radius, rng) if nodule.kind == "spiculated" else None
    return Shape(middle, scale, axes, waves, hu, core_hu, core_place, core * radius, edge, spicules)


def _spicules(middle: Array, radius: float, rng: np.random.Generator) -> Tubes:
    """Fine strands that leave the surface and taper to nothing."""
    count = int(rng.integers(14, 26) + radius)
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    length = rng.uniform(0.4, 1.0, (count, 1)) * min(radius, 8) + 1.5
    width = rng.uniform(0.8, 1.3, count) * min(1.3, 0.5 + radius / 14)
    return Tubes(middle + unit * radius * 0.9, middle + unit * (radius + length), width, np.full(count, 0.3))


def place(atlas: Atlas, tree: Tree, rng: np.random.Generator) -> tuple[PhantomNodule, ...]:
    """Two to seven nodules, each where its kind belongs, apart from each other."""
    found: list[PhantomNodule] = []
    wanted = int(rng.integers(2, 8))
    while len(found) < wanted:
        kind = str(rng.choice(KINDS, p=SHARES))
        low, high = RANGE_MM.get(kind, (4.0, 30.0))
        diameter = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))), 2)
        spots = {"juxtapleural": _at_pleura, "juxtavascular": _at_vessel}.get(kind, _anywhere)(
            atlas, tree, diameter / 2, rng
        )
        for spot in spots:
            if all(_gap(spot, diameter, other) > GAP_MM for other in found):
                centre = (round(float(spot[0]), 3), round(float(spot[1]), 3), round(float(spot[2]), 3))
                found.append(PhantomNodule(centre, diameter, kind, _ratings(kind, diameter, rng)))
                break
    return tuple(found)


def _gap(spot: Array, diameter: float, other: PhantomNodule) -> float:
    between = float(np.linalg.norm(spot - np.asarray(other.centre_xyz_mm)))
    return between - (diameter + other.diameter_mm) / 2


def _anywhere(atlas: Atlas, tree: Tree, radius: float, rng: np.random.Generator) -> Array:  # noqa: ARG001
    return _away_from_hilum(atlas.places("lungs", radius * 1.1 + 3, 200, rng), radius)


def _at_pleura(atlas: Atlas, tree: Tree, radius: float, rng: np.random.Generator) -> Array:  # noqa: ARG001
    """Places from where the body just reaches the thorax wall."""
    spots = atlas.places("lungs", radius * 0.7, 3000, rng)
    to_wall = -atlas.at("thorax", spots)
    spots = spots[(np.abs(to_wall - radius) < 8) & (np.abs(atlas.at("lungs", spots) - atlas.at("thorax", spots)) < 1.5)]
    for _ in range(4):
        step = radius * 0.93 + atlas.at("thorax", spots)
        spots = spots - atlas.outward("thorax", spots) * step[:, None]
    to_wall = -atlas.at("thorax", spots)
    alone = (atlas.at("diaphragm", spots) < -radius - 4) & (np.abs(to_wall - 0.93 * radius) < 0.6)
    return spots[alone]


def _at_vessel(atlas: Atlas, tree: Tree, radius: float, rng: np.random.Generator) -> Array:
    """Places beside a vessel of 1 mm radius and more, touching it."""
    v = tree.vessels
    large = np.flatnonzero((v.radius_end > 1.0) & (v.radius_end < 3.0))
    chosen = rng.permutation(large)[:300]
    along = v.end[chosen] - v.start[chosen]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, rng.normal(size=along.shape))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    spots = (v.start[chosen] + v.end[chosen]) / 2 + side * (radius * 0.92 + v.radius_end[chosen, None])
    return _away_from_hilum(spots[atlas.at("lungs", spots) < -radius - 2], radius)


def _away_from_hilum(spots: Array, radius: float) -> Array:
    hila = np.array([[-40.0, 14.0, -6.0], [40.0, 14.0, -6.0]])
    away = np.linalg.norm(spots[:, None] - hila, axis=-1).min(axis=1)
    return np.asarray(spots[away > 26 + radius])


def _unit(rng: np.random.Generator) -> Array:
    v = rng.normal(size=3)
    return np.asarray(v / np.linalg.norm(v))


def _ratings(kind: str, diameter: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Larger, spiculated and part-solid nodules are rated higher, as LIDC's readers did; calcified ones are 1."""
    if kind == "calcified":
        return 1, 1, 1, 1
    bonus = {"spiculated": 1.1, "part-solid": 0.7, "ground-glass": -0.3}.get(kind, 0.0)
    middle = 1.6 + 1.35 * np.log2(diameter / 5) + bonus
    a, b, c, d = (int(r) for r in np.clip(np.rint(rng.normal(middle, 0.6, 4)), 1, 5))
    return a, b, c, d


def draw(hu: Field, grid: Grid, shape: Shape) -> None:
    """Draw into HU in place; the brighter of nodule and background stays, so vessels run through and walls are whole."""
    reach = shape.scale_mm * 1.4 + 4
    middle = frame_mm(grid, shape.middle_xyz_mm)
    found = box_axes(grid, middle - reach, middle + reach)
    if found is None:
        return
    box, axes = found
    if shape.spicules is not None:
        for tube in tubes_in_boxes(grid, shape.spicules, 2.0):
            _brighten(hu, tube.box, share(tube.distance, tube.extent), 20.0)
    offset = np.stack(np.broadcast_arrays(*(a - np.float32(m) for a, m in zip(axes, middle, strict=True))), axis=-1)
    xyz = offset[..., ::-1] @ grid.direction.T.astype(np.float32)
    away = np.linalg.norm(xyz, axis=-1) + np.float32(1e-3)
    unit = xyz / away[..., None]
    extent = np.sqrt(np.sum((offset / away[..., None] * np.asarray(grid.spacing_irc_mm, dtype=np.float32)) ** 2, axis=-1))
    distance = (away - shape.radius(unit)).astype(np.float32)
    _brighten(hu, box, share(distance, np.hypot(extent, np.float32(shape.edge_mm))), shape.hu)
    if shape.core_hu is not None:
        from_core = np.linalg.norm(xyz - (shape.core_xyz_mm - shape.middle_xyz_mm).astype(np.float32), axis=-1)
        _brighten(hu, box, share((from_core - np.float32(shape.core_mm)).astype(np.float32), extent), shape.core_hu)


def _brighten(hu: Field, box: tuple[slice, slice, slice], part: Field, to: float) -> None:
    part_of_volume = hu[box]
    part_of_volume += part * np.maximum(np.float32(to) - part_of_volume, 0)
