"""The bones as tubes: ribs, vertebrae, sternum, clavicles, shoulder blades; and the soft tubes of the mediastinum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungscan.phantom.anatomy import VERTEBRA_MM, Anatomy
from lungscan.phantom.atlas import Atlas
from lungscan.phantom.canvas import Tubes, join, path_tubes
from lungscan.volume import Array

RIB_HALF_HEIGHT_MM = 3.5
"""A rib is twice as high as thick: two tubes, one above the other."""

DISCS_Z_MM = np.arange(-180.0, 180.0, VERTEBRA_MM)


@dataclass(frozen=True)
class Skeleton:
    bones: Tubes
    cartilage: Tubes
    ribs: Array  # (N,3) places on the ribs, for negatives that lie close to one


def skeleton(anatomy: Anatomy, atlas: Atlas, rng: np.random.Generator) -> Skeleton:
    bones = [*_spine(anatomy), *_sternum(anatomy, atlas), *_shoulders(atlas)]
    y = anatomy.spine_y
    discs = [path_tubes([(-6, y + 1, z), (0, y - 3, z), (6, y + 1, z)], 9.0) for z in DISCS_Z_MM]
    cartilage, places = discs, []
    first = anatomy.apex - rng.uniform(2, 12)
    for pair in range(11):
        for side in (-1, 1):
            line = _rib(atlas, side, first - VERTEBRA_MM * pair * 0.98, 48 + 7 * min(pair, 6), anatomy)
            bone = line[: int(len(line) * (0.86 if pair < 7 else 0.7))]
            up = np.array([0, 0, RIB_HALF_HEIGHT_MM])
            bones += [path_tubes(bone + up, 3.6), path_tubes(bone - up, 3.6)]
            if pair < 7:
                cartilage.append(path_tubes(line[len(bone) - 1 :], 4.5))
            places.append(bone)
    return Skeleton(join(bones), join(cartilage), np.concatenate(places))


def _rib(atlas: Atlas, side: int, z: float, drop: float, anatomy: Anatomy) -> Array:
    """A line (N,3) from the spine round the thorax to the front, 6 mm outside the pleura, falling on its way."""
    turn = np.linspace(np.deg2rad(14), np.deg2rad(163), 34)  # 0 is straight back, pi straight to the front
    way = np.linspace(0, 1, len(turn))
    heights = z - drop * np.sin(np.minimum(way * 1.12, 1) * np.pi / 2) ** 1.2 + 30 * np.maximum(way - 0.86, 0) / 0.14
    near, far = np.full(len(turn), 20.0), np.full(len(turn), 210.0)
    rays = np.stack([side * np.sin(turn), np.cos(turn) * anatomy.half_depth / 105], axis=-1)

    def places(reach: Array) -> Array:
        return np.column_stack([rays * reach[:, None], heights])

    for _ in range(16):
        middle = (near + far) / 2
        outside = atlas.at("thorax", places(middle)) > 6
        near, far = np.where(outside, near, middle), np.where(outside, middle, far)
    return places(near)


def _spine(anatomy: Anatomy) -> list[Tubes]:
    """Bodies with discs between, a ring around the canal, spinous and transverse processes."""
    y = anatomy.spine_y
    parts = []
    for z in DISCS_Z_MM + VERTEBRA_MM / 2:
        body = np.array([(x, y + dy, z) for x, dy in ((-9, 3), (9, 3), (5, -5), (-5, -5), (-9, 3), (5, -5))])
        parts += [path_tubes(body + np.array((0, 0, height)), 6.6) for height in (-3.6, 0.0, 3.6)]
        canal = y + 22
        angles = np.linspace(0.2, 0.8, 7) * 2 * np.pi
        parts.append(path_tubes([(12 * np.sin(a), canal - 12 * np.cos(a) * 0.9, z) for a in angles], 3.0))
        parts.append(path_tubes([(0, canal + 11, z), (0, canal + 26, z - 14)], 3.2))
        for side in (-1, 1):
            parts.append(path_tubes([(side * 11, canal, z + 2), (side * 30, canal + 8, z + 4)], 4.0))
    return parts


def _sternum(anatomy: Anatomy, atlas: Atlas) -> list[Tubes]:
    """A flat bone just before the thorax, from the notch to the xiphoid."""
    heights = np.linspace(0.62 * anatomy.apex, -75, 20)
    parts = []
    for x in np.linspace(-10, 10, 8):
        line = []
        for z in heights:
            y = np.linspace(-130, -20, 111)
            distance = atlas.at("thorax", np.column_stack([np.zeros_like(y), y, np.full_like(y, z)]))
            line.append((x, y[np.argmin(np.abs(distance - 7))], z))
        parts.append(path_tubes(line, 4.6))
    return parts


def _shoulders(atlas: Atlas) -> list[Tubes]:
    """Clavicles, and shoulder blades as fans of tubes behind the upper ribs."""
    parts = []
    for side in (-1, 1):
        notch = np.array([side * 14, -58, 96.0])
        parts.append(path_tubes(notch + np.array([(0, 0, 0), (side * 45, 4, 16), (side * 110, 38, 26)]), 5.5))
        for k in np.linspace(0, 8, 18):
            top = np.array([side * (78 + 6.5 * k), 84 - 3.2 * k, 112 - 1.5 * k])
            tip = np.array([side * (92 + 1.5 * k), 78 - 1.5 * k, 10 + 7 * k])
            line = top + (tip - top) * np.linspace(0, 1, 8)[:, None]
            push = np.maximum(19 - atlas.at("thorax", line), 0)[:, None]
            parts.append(path_tubes(line + atlas.outward("thorax", line) * push, 2.4))
    return parts


def great_vessels(anatomy: Anatomy) -> Tubes:
    """Aorta with its arch, superior vena cava, pulmonary trunk with both arteries, and the veins of the arms and neck."""
    hx, hy, hz = anatomy.heart_centre
    spine = anatomy.spine_y
    turn = np.linspace(0, np.pi, 10)
    arch = [(8 - 20 * np.cos(a) / 1.6, hy + 12 + (spine - hy - 20) * (1 - np.cos(a)) / 2, 36 + 20 * np.sin(a)) for a in turn]
    aorta = [
        (hx - 14, hy + 6, hz + 30),
        (-4, hy + 8, 10),
        *arch,
        (24, spine - 4, 0),
        (20, spine - 8, -70),
        (8, spine - 22, -180),
    ]
    return join(
        [
            path_tubes(aorta, 13.5),
            path_tubes([(-24, -6, hz + 20), (-24, -10, 10), (-20, -16, 70), (-22, -14, 140)], 8.5),
            path_tubes([(hx, hy + 2, hz + 34), (14, hy + 8, 4), (2, 4, 4), (-34, 8, -4)], 11.5),
            path_tubes([(14, hy + 8, 4), (30, 10, 8), (40, 16, 0)], 10.5),
            path_tubes([(-34, 20, -26), (0, 22, -32), (38, 22, -24)], 11.0),
            *(path_tubes([(x, -8, 50), (1.3 * x, -4, 95), (1.5 * x, 0, 150)], 5.0) for x in (-12.0, 6.0, 16.0)),
        ]
    )


def oesophagus(anatomy: Anatomy) -> Tubes:
    y = anatomy.spine_y - 27
    return path_tubes([(4, y, 180), (4, y, 60), (2, y + 1, 0), (6, y, -60), (18, y - 16, -110)], 6.0)
