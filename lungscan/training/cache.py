"""The training cache: scans on the networks' grid with their lungs and truth, as plain `.npy` maps beside one index a scan.

    CACHE/<name>/hu.npy      (I,R,C) int16 HU, the box of the lungs and MARGIN_MM around it
    CACHE/<name>/lungs.npy   (I,R,C) bool, the lung mask on the same grid
    CACHE/<name>/label.npy   (I,R,C) uint8: 0 background, 1..254 the number of the nodule, IGNORED where no loss is taken
    CACHE/<name>/entry.json  what `Entry` holds

In a compressed cache the maps are `.b2nd`. An entry is made beside and renamed, so it is there whole or not at all; the same
scan always gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan import files
from lungscan.errors import InputRefused
from lungscan.stages.lungs import Lungs
from lungscan.training import maps
from lungscan.volume import Box, Grid, Source, Triple, Volume

IGNORED = 255
COPY = "+"
MOST_NODULES = 254
MARGIN_MM = 40.0
"""Around the lungs' box: a mass may reach beyond the lung mask, and the widest crop at its border wants real voxels."""

Maps = tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Nodule:
    """A true nodule: its centre in patient mm, its diameter, and each reader's malignancy rating (1 to 5; may be empty)."""

    centre_xyz_mm: Triple
    diameter_mm: float
    ratings: tuple[int, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One volume of the cache.

    patient : what splits must not cut apart
    series  : `series_hash` of the series UID
    nodules : nodule k has the label k + 1
    ignored : findings that count neither as hits nor as false positives
    decoys  : places that look like nodules and are none, where the data set names any
    """

    name: str
    patient: str
    series: str
    spacing_irc_mm: Triple
    origin_xyz_mm: Triple
    direction: tuple[Triple, Triple, Triple]
    shape: tuple[int, int, int]
    nodules: tuple[Nodule, ...]
    ignored: tuple[Nodule, ...] = ()
    decoys_xyz_mm: tuple[Triple, ...] = ()

    @property
    def is_copy(self) -> bool:
        """Whether it is a painted copy, NAME+mark: its lungs are those of NAME."""
        return COPY in self.name

    @property
    def grid(self) -> Grid:
        return Grid(self.shape, self.spacing_irc_mm, self.origin_xyz_mm, np.asarray(self.direction))


def lung_part(volume: Volume, lungs: Lungs) -> Box:
    """The box of a normalised volume that a cache keeps."""
    margin = [int(np.ceil(MARGIN_MM / mm)) for mm in volume.grid.spacing_irc_mm]
    i, r, c = (
        (max(lo - m, 0), min(hi + m, n))
        for (lo, hi), m, n in zip(lungs.box(volume.grid), margin, volume.grid.shape, strict=True)
    )
    return i, r, c


def lungs_on(grid: Grid, lungs: Lungs) -> npt.NDArray[np.bool_]:
    """The lung mask on another grid of the same directions, by the nearest coarse voxel."""
    axes = []
    for axis, n in enumerate(grid.shape):
        points = np.zeros((n, 3))
        points[:, axis] = np.arange(n)
        at = np.rint(lungs.grid.irc(grid.xyz(points))[:, axis]).astype(np.intp)
        axes.append(np.clip(at, 0, lungs.mask.shape[axis] - 1))
    return np.asarray(lungs.mask[np.ix_(*axes)])


class Cache:
    """A folder of entries. `write` adds one, `entries` lists the whole ones by name, `maps` opens one's arrays read-only.

    compress : whether new entries are compressed; what is there is read in either form
    """

    def __init__(self, folder: Path, *, compress: bool = False) -> None:
        self.folder, self.compress = folder, compress

    def has(self, name: str) -> bool:
        return (self.folder / name / "entry.json").is_file()

    def write(
        self, entry: Entry, hu: npt.NDArray[np.int16], lungs: npt.NDArray[np.bool_], label: npt.NDArray[np.uint8]
    ) -> None:
        """Write one entry, whole or not at all, in place of an earlier one. Raises NotWritten."""
        arrays = {"hu": hu, "lungs": lungs, "label": label}
        for name, array in arrays.items():
            if array.shape != entry.shape:
                raise ValueError(f"{name} of {entry.name} is {array.shape}, not {entry.shape}")
        files.make_folder(self.folder)
        with files.workshop(self.folder) as bench:
            made = bench / entry.name
            made.mkdir()
            for name, array in arrays.items():
                maps.write(made, name, array, compress=self.compress)
            files.write_text(made / "entry.json", json.dumps(asdict(entry), indent=1) + "\n")
            files.move(made, self.folder / entry.name)

    def entries(self) -> list[Entry]:
        """Every whole entry, sorted by name. Raises InputRefused where there is none, or one that cannot be read."""
        found = sorted(self.folder.glob("*/entry.json"))
        if not found:
            raise InputRefused(
                f"{self.folder} holds no training cache; make one with `lungscan prepare DATASET --cache DIR`."
            )
        return [_entry(path) for path in found]

    def maps(self, entry: Entry) -> Maps:
        """HU, lungs and label, read-only: mapped, or in memory where they are compressed."""
        hu, lungs, label = (maps.read(self.folder / entry.name, name) for name in ("hu", "lungs", "label"))
        return hu, lungs, label

    def volume(self, entry: Entry) -> Volume:
        """The entry as the stages take it."""
        return Volume(self.maps(entry)[0], entry.grid, Source(str(self.folder / entry.name), "cache", entry.series))

    def gate(self, entry: Entry) -> Lungs:
        """The entry's lung mask as the stages take it."""
        mask = np.asarray(self.maps(entry)[1])
        return Lungs(mask, entry.grid, float(mask.sum() * entry.grid.voxel_mm3 / 1000))


def _entry(path: Path) -> Entry:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["nodules"], raw["ignored"] = _nodules(raw["nodules"]), _nodules(raw["ignored"])
        raw["direction"] = tuple(map(tuple, raw["direction"]))
        raw["decoys_xyz_mm"] = tuple(map(tuple, raw.get("decoys_xyz_mm", ())))
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        return Entry(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused(
            f"{path} is not an entry of a training cache ({error!r}); remove its folder and prepare again."
        ) from error


def _nodules(rows: Sequence[dict[str, Any]]) -> tuple[Nodule, ...]:
    return tuple(Nodule(tuple(r["centre_xyz_mm"]), r["diameter_mm"], tuple(r["ratings"])) for r in rows)
