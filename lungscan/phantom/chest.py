"""A synthetic chest CT with known nodules: patient, scanner, drawing. The same seed and index give the same voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungscan.phantom import nodules as lesions
from lungscan.phantom.anatomy import Anatomy
from lungscan.phantom.atlas import Atlas
from lungscan.phantom.canvas import Field, Tubes, lattice, share, slice_of, tubes_in_boxes
from lungscan.phantom.nodules import PhantomNodule
from lungscan.phantom.scanner import Scanner
from lungscan.phantom.skeleton import great_vessels, oesophagus, skeleton
from lungscan.phantom.tissue import Tissue, paint_slice
from lungscan.phantom.uids import uid
from lungscan.phantom.vessels import WALL_MM, tree
from lungscan.volume import AIR_HU, Array, Grid, Source, Triple, Volume


@dataclass(frozen=True)
class Phantom:
    """A chest with its truth, and places that look suspicious to a network but are no nodules."""

    volume: Volume
    nodules: tuple[PhantomNodule, ...]
    decoys_xyz_mm: Array  # (N,3)


def make_chest(seed: int, index: int = 0, *, spacing_irc_mm: Triple | None = None, noise: bool = True) -> Phantom:
    """Scan number `index` of a seed: adult, supine, both lungs whole, 2 to 7 nodules of 4 to 30 mm.

    spacing_irc_mm : in place of the scan's own (about 2 x 0.9 x 0.9 mm); the patient and the nodules stay the same
    noise          : False leaves the noise out

    The bytes are the same in every run with the same libraries on the same kind of processor.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(6)]
    of_patient, of_bones, of_vessels, of_nodules, of_scanner, of_grain = streams
    anatomy = Anatomy.draw(of_patient)
    tissue = Tissue.draw(of_patient)
    atlas = Atlas.of(anatomy)
    bones = skeleton(anatomy, atlas, of_bones)
    branches = tree(atlas, of_vessels)
    found = lesions.place(atlas, branches, of_nodules)
    scanner = Scanner.draw(of_scanner, spacing_irc_mm)
    grid = scanner.grid()

    hu = np.empty(grid.shape, dtype=np.float32)
    coarse = lattice(grid)
    fields = anatomy.fields(coarse) | tissue.textures(coarse, of_grain)
    for k in range(len(hu)):
        planes = {name: slice_of(field, k, grid.shape[1:]) for name, field in fields.items()}
        paint_slice(hu[k], planes, tissue, _rows_mm(grid, k))
    _fill(hu, grid, great_vessels(anatomy), tissue.blood)
    _fill(hu, grid, oesophagus(anatomy), 35.0)
    _fill(hu, grid, bones.cartilage, 110.0)
    _bones(hu, grid, bones.bones)
    _vessels(hu, grid, branches.vessels, tissue.blood)
    _airways(hu, grid, branches.airways)
    for nodule in found:
        lesions.draw(hu, grid, lesions.shape_of(nodule, of_nodules))
    hu = scanner.blur(hu)
    if noise:
        hu += scanner.noise(grid.shape, of_grain)
    np.clip(np.rint(hu, out=hu), AIR_HU, 3071, out=hu)
    source = Source(
        path="",
        format="phantom",
        series_uid=uid("series", seed, index),
        facts={"manufacturer": "lungscan phantom", "kernel": scanner.kernel},
    )
    return Phantom(
        Volume(hu.astype(np.int16), grid, source),
        found,
        _decoys(atlas, branches.forks, bones.ribs, found, of_nodules),
    )


def _rows_mm(grid: Grid, k: int) -> tuple[Field, Field]:
    """Patient x and y of a slice's voxels, (R,C) by broadcasting."""
    _, rows, columns = grid.shape
    along_c = grid.xyz(np.stack([np.full(columns, k), np.zeros(columns), np.arange(columns)], axis=-1))
    along_r = grid.xyz(np.stack([np.full(rows, k), np.arange(rows), np.zeros(rows)], axis=-1)) - along_c[0]
    x, y = ((along_c[None, :, a] + along_r[:, None, a]).astype(np.float32) for a in (0, 1))
    return x, y


def _fill(hu: Field, grid: Grid, tubes: Tubes, to: float) -> None:
    """Soft tubes: what is inside becomes `to`."""
    for tube in tubes_in_boxes(grid, tubes, 2.0):
        there = hu[tube.box]
        there += share(tube.distance, tube.extent) * (np.float32(to) - there)


def _nearest(grid: Grid, tubes: Tubes, margin_mm: float) -> Field:
    """Distance to the nearest tube, 99 where none is near."""
    out = np.full(grid.shape, 99, dtype=np.float32)
    for tube in tubes_in_boxes(grid, tubes, margin_mm):
        there = out[tube.box]
        np.minimum(there, tube.distance, out=there)
    return out


def _bones(hu: Field, grid: Grid, tubes: Tubes) -> None:
    """A cortex of about 1.5 mm around marrow."""
    edge = float(np.mean(grid.spacing_irc_mm))
    for plane, distance in zip(hu, _nearest(grid, tubes, 2.0), strict=True):
        near = distance < 2
        d = distance[near]
        marrow = share(d + np.float32(1.8), edge)
        bone = 620 + marrow * np.float32(170 - 620)
        plane[near] += share(d, edge) * (bone - plane[near])


def _vessels(hu: Field, grid: Grid, tubes: Tubes, blood: float) -> None:
    """Vessels brighten what they run through; one thinner than a voxel fills a part of it."""
    filled = np.zeros(grid.shape, dtype=np.float32)
    for tube in tubes_in_boxes(grid, tubes, 1.5):
        part = share(tube.distance, tube.extent) * np.minimum(1, 2 * np.float32(tube.radius) / tube.extent)
        there = filled[tube.box]
        np.maximum(there, part, out=there)
    for plane, part in zip(hu, filled, strict=True):
        plane += part * np.maximum(np.float32(blood) - plane, 0)


def _airways(hu: Field, grid: Grid, lumens: Tubes) -> None:
    """Air in a thin wall."""
    edge = float(np.mean(grid.spacing_irc_mm))
    for plane, distance in zip(hu, _nearest(grid, lumens, 3.0), strict=True):
        near = distance < 3
        d = distance[near]
        wall = np.maximum(plane[near], plane[near] + share(d - np.float32(WALL_MM), edge) * (-120 - plane[near]))
        plane[near] = wall + share(d, edge) * (-990 - wall)


def _decoys(atlas: Atlas, forks: Array, ribs: Array, found: tuple[PhantomNodule, ...], rng: np.random.Generator) -> Array:
    """Forty places: vessel forks, fissures, pleura under a rib; none within 6 mm of a nodule's surface."""
    inwards = ribs - atlas.outward("thorax", ribs) * (atlas.at("thorax", ribs)[:, None] + 2)
    under_ribs = inwards[atlas.at("lungs", inwards) < 2]
    spots = atlas.places("lungs", 3.0, 4000, rng)
    on_fissures = spots[np.abs(atlas.at("oblique", spots)) < 1.5]
    chosen = np.concatenate([rng.permutation(p)[:n] for p, n in ((forks, 40), (on_fissures, 15), (under_ribs, 15))])
    for nodule in found:
        apart = np.linalg.norm(chosen - np.asarray(nodule.centre_xyz_mm), axis=1) - nodule.diameter_mm / 2
        chosen = chosen[apart > 6]
    return np.round(rng.permutation(chosen)[:40], 3)
