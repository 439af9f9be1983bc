"""The material of the shipped networks: real scans, blocks and cubes, copies of them with painted nodules, and phantoms."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lungscan.recipe.copies import painted_copy
from lungscan.recipe.phantoms import phantom_entry
from lungscan.recipe.real import Outlines, Truth, blocks, cubes, four_d_lung, grown, lidc, lung_dx, store
from lungscan.recipe.shapes import Shape, cube_shapes, lidc_shapes
from lungscan.training.cache import Cache, Entry

SEED = 20
SPACING_IRC_MM = (2.0, 1.25, 1.25)
SCANS = ("LIDC-IDRI-0001", "LIDC-IDRI-0003")
SCANS_BY_FOLD = ("LIDC-IDRI-0001", "LIDC-IDRI-0003", "A0001", "C3N-00247", "113_HM10395")
JUDGED_ELSEWHERE = ("LIDC-IDRI-0002", "LIDC-IDRI-0063")  # kept aside for good: not even their outlines are seen
COPIES = {"scan": 12, "block": 4, "cube": 2}
PHANTOMS = 14
RATED, RATED_COPIES = "m", 8  # mark and number of each scan's copies that the malignancy network alone learns from
LAST_OF_CUBES = "LIDC-IDRI-0720"  # the cubes without a name are of patients up to about this one


def prepare(data: Path, database: Path, cache: Cache) -> None:
    """Every real scan, block and cube, their painted copies and the phantoms; what the cache holds already is kept."""
    outlines = Outlines(database, data / "lidc" / "lidc_scans.csv")
    for name, truth in (*scans(data, outlines), *_parts(data / "cubes", outlines)):
        if not cache.has(name):
            store(cache, name, truth(), SPACING_IRC_MM)
    originals = [e for e in cache.entries() if is_real(e)]
    copies = [(entry, "", k) for entry in originals for k in range(COPIES[kind(entry)])]
    copies += [(entry, RATED, k) for entry in originals if kind(entry) == "scan" for k in range(RATED_COPIES)]
    missing = [(entry, mark, k) for entry, mark, k in copies if not cache.has(f"{entry.name}+{mark}{k}")]
    with ProcessPoolExecutor(initializer=_load_shapes, initargs=(data / "cubes", database)) as pool:
        done: list[Future[Any]] = [pool.submit(_copy, cache, *copy) for copy in missing]
        phantoms = [k for k in range(PHANTOMS) if not cache.has(f"phantom-{SEED}-{k}")]
        done += [pool.submit(phantom_entry, cache, SEED, k, SPACING_IRC_MM) for k in phantoms]
        for future in done:
            future.result()


def kind(entry: Entry) -> str:
    """Of what an entry shows: "scan", "block", "cube" or "phantom"."""
    return next((kind for kind in ("block", "cube", "phantom") if entry.name.startswith(kind)), "scan")


def is_real(entry: Entry) -> bool:
    """Neither a painted copy nor a phantom."""
    return not entry.is_copy and kind(entry) != "phantom"


def is_for_ratings(entry: Entry) -> bool:
    """A copy whose painted nodules no patient of the cubes can have lent: the malignancy network alone learns from it."""
    return f"+{RATED}" in entry.name


def scans(data: Path, outlines: Outlines) -> Iterator[tuple[str, Callable[[], Truth]]]:
    for patient in SCANS:
        path = data / "lidc" / f"{patient}.zip"
        excluded = data / "lidc" / f"{patient}.luna16_annotations_excluded.csv"
        yield patient, partial(lidc, path, patient, outlines, excluded)
    yield "A0001", partial(lung_dx, data / "lung-dx" / "A0001.zip", "A0001")
    yield "C3N-00247", partial(grown, data / "cptac-lscc" / "C3N-00247.zip", "C3N-00247", (-80.8, -191.4, -191.0))
    yield "113_HM10395", partial(four_d_lung, data / "4d-lung" / "113_HM10395.zip", "113_HM10395")


def _parts(folder: Path, outlines: Outlines) -> Iterator[tuple[str, Callable[[], Truth]]]:
    """Blocks and cubes of other patients than those whose whole scans are there."""
    found = {
        "block-": blocks(folder / "lidc_nodule_blocks.npz", folder / "lidc_nodule_blocks.csv", outlines),
        "": cubes(folder / "lidc_nodule_cubes.npz", folder / "lidc_nodule_cubes.csv"),
    }
    for prefix, truths in found.items():
        for truth in truths:
            if truth.patient not in SCANS:
                yield f"{prefix}{truth.volume.source.path}", partial(_itself, truth)


def _itself(truth: Truth) -> Truth:
    return truth


def _load_shapes(folder: Path, database: Path) -> None:
    """Once a worker: the outlines of all LIDC-IDRI patients but those whose scans or blocks are there, who are judged in
    cross-validation, and the nodules cut out of the cubes."""
    global _shapes
    with (folder / "lidc_nodule_blocks.csv").open(newline="") as file:
        imaged = {*SCANS, *(row["patient_id"] for row in csv.DictReader(file))}
    cut = cube_shapes(folder / "lidc_nodule_cubes.npz", folder / "lidc_nodule_cubes.csv", imaged)
    _shapes = [*lidc_shapes(database, {*imaged, *JUDGED_ELSEWHERE}), *cut]


_shapes: list[Shape] = []


def _copy(cache: Cache, entry: Entry, mark: str, index: int) -> None:
    shapes = [s for s in _shapes if s.hu is None and s.patient > LAST_OF_CUBES] if mark == RATED else _shapes
    painted_copy(cache, entry, shapes, index, SEED, mark)
