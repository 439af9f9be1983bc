"""Vessels and airways as branching tubes that narrow towards the periphery.

A tree grows into the places it has to supply: it runs part of the way to their centre of mass, splits them in two, and
goes on in each half until one place is left. The radius follows Murray's law, r^3 = r1^3 + r2^3 (Murray, PNAS 12, 1926),
so a branch that supplies n places has the radius of a twig times the cube root of n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungscan.phantom.atlas import Atlas
from lungscan.phantom.canvas import Tubes, join, path_tubes
from lungscan.volume import Array

TWIG_MM = 0.48
"""Radius of the last twigs: at the limit of what a CT shows."""

PLACES_PER_LUNG = 2200
WALL_MM = 0.8
AIRWAYS_FROM_MM = 2.0
"""An artery of this radius and more has a visible airway beside it."""


@dataclass(frozen=True)
class Tree:
    vessels: Tubes
    airways: Tubes  # lumens
    forks: Array  # (N,3) where a vessel branches


def tree(atlas: Atlas, rng: np.random.Generator) -> Tree:
    """Arteries, veins and airways of both lungs, lobe by lobe from the hila; the trachea."""
    carina = np.array([0.0, 14.0, 22.0])
    vessels = []
    airways = [path_tubes(carina + np.array([(0, -6, 170), (0, -3, 60), (0, 0, 0)]), 8.5)]
    forks = []
    for side, lung in ((-1, "lung_right"), (1, "lung_left")):
        hilum = np.array([side * 40.0, 14.0, 0.0])
        main = np.array([side * 32.0, 16.0, 2.0])
        airways.append(path_tubes([carina, main], 6.5))
        places = atlas.places(lung, 2.5, PLACES_PER_LUNG, rng)
        for lobe in _lobes(atlas, places, side):
            start = hilum + rng.normal(0, 2, 3) + 0.08 * (lobe.mean(axis=0) - hilum)
            arteries = _grow(start, lobe, rng)
            lobe_of_veins = lobe + rng.normal(0, 5, lobe.shape)
            lobe_of_veins = lobe_of_veins[atlas.at(lung, lobe_of_veins) < -2.5]
            veins = _grow(start + np.array((side * -2, 2, -18)), lobe_of_veins, rng)
            vessels += [arteries, veins]
            forks += [t.end[(t.radius_end > 0.75) & (t.radius_end < 2.2)] for t in (arteries, veins)]
            beside = _beside(arteries)
            airways += [path_tubes([main, beside.start[0]], 4.5), beside]
    return Tree(join(vessels), join(airways), np.concatenate(forks))


def _lobes(atlas: Atlas, places: Array, side: int) -> list[Array]:
    """The places of a lung, parted by its fissures."""
    below = atlas.at("oblique", places) > 0
    parts = [below, ~below]
    if side < 0:
        middle = ~below & (atlas.at("minor", places) < 0)
        parts = [below, middle, ~below & ~middle]
    return [places[part] for part in parts if part.sum() > 10]


def _grow(start: Array, places: Array, rng: np.random.Generator) -> Tubes:
    rows: list[tuple[Array, Array, float, float]] = []
    open_ends = [(start, places, np.zeros(3))]
    while open_ends:
        here, group, heading = open_ends.pop()
        way = group.mean(axis=0) - here
        reach = float(np.linalg.norm(way)) + 1e-6
        part = 1.0 if len(group) == 1 else rng.uniform(0.3, 0.46)
        end = here + way * part + heading * (0.12 * reach * part) + rng.normal(0, 0.035 * reach, 3)
        radius = TWIG_MM * len(group) ** (1 / 3)
        narrow = TWIG_MM * 0.5 if len(group) == 1 else radius * 0.92
        rows.append((here, end, radius, narrow))
        if len(group) == 1:
            continue
        # Split across the widest spread of the places as seen from the fork.
        centred = group - group.mean(axis=0)
        axis = np.linalg.eigh(centred.T @ centred + 1e-6 * np.eye(3))[1][:, -1]
        across = centred @ (axis * (1.0 if axis[np.argmax(np.abs(axis))] > 0 else -1.0))
        order = np.argsort(across, kind="stable")
        cut = min(max(round(len(order) * rng.uniform(0.35, 0.65)), 1), len(order) - 1)
        open_ends += [(end, group[half], way / reach) for half in (order[:cut], order[cut:])]
    return Tubes(
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        np.array([r[3] for r in rows]),
    )


def _beside(arteries: Tubes) -> Tubes:
    """The airways that go with the larger arteries, a little narrower, on one side of them."""
    large = arteries.radius_start > AIRWAYS_FROM_MM
    shift = np.array([0.35, 0.8, 0.45])[None] * (1.75 * arteries.radius_start[large] + WALL_MM)[:, None]
    shift_end = np.array([0.35, 0.8, 0.45])[None] * (1.75 * arteries.radius_end[large] + WALL_MM)[:, None]
    radius = 0.75 * arteries.radius_start[large]
    return Tubes(arteries.start[large] + shift, arteries.end[large] + shift_end, radius, 0.75 * arteries.radius_end[large])
