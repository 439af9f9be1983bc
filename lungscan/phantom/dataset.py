"""A folder of phantoms in LUNA16's layout: scans in subset0/, the truth in CSV files beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lungscan import files
from lungscan.errors import UsageError
from lungscan.lock import alone_in
from lungscan.malignancy_rules import DEFAULT, RULES
from lungscan.phantom.chest import Phantom, make_chest
from lungscan.phantom.nodules import PhantomNodule
from lungscan.phantom.writers import check, orient, write
from lungscan.volume import Triple

_PLACE = ("seriesuid", "coordX", "coordY", "coordZ")
_HEADERS = {
    "annotations.csv": (*_PLACE, "diameter_mm"),
    "candidates.csv": (*_PLACE, "class"),
    "annotations_with_malignancy.csv": (*_PLACE, "diameter_mm", "mal_bool", "mal_details"),
    "nodules.csv": (*_PLACE, "diameter_mm", "kind", "ratings"),
}


@dataclass(frozen=True)
class WrittenScan:
    """One scan of a data set, just written: the file, or DICOM's folder, and the nodules in it."""

    path: Path
    series_uid: str
    nodules: tuple[PhantomNodule, ...]


@dataclass
class _Truth:
    """The rows of the CSV files so far."""

    rows: dict[str, list[tuple[object, ...]]] = field(default_factory=lambda: {name: [] for name in _HEADERS})

    def add(self, phantom: Phantom) -> None:
        series = phantom.volume.source.series_uid
        for n in phantom.nodules:
            place = (series, *n.centre_xyz_mm)
            malignant = RULES[DEFAULT].label(n.ratings)
            self.rows["annotations.csv"].append((*place, n.diameter_mm))
            self.rows["candidates.csv"].append((*place, 1))
            self.rows["annotations_with_malignancy.csv"].append((*place, n.diameter_mm, malignant, list(n.ratings)))
            self.rows["nodules.csv"].append((*place, n.diameter_mm, n.kind, " ".join(map(str, n.ratings))))
        self.rows["candidates.csv"] += [(series, *decoy, 0) for decoy in phantom.decoys_xyz_mm.tolist()]

    def write(self, folder: Path) -> None:
        for name, rows in self.rows.items():
            files.write_text(folder / name, _table(_HEADERS[name], rows))


def write_dataset(
    folder: str | Path,
    scans: int,
    seed: int,
    format: str = "mhd",  # noqa: A002
    orientation: str = "LPS",
    progress: Callable[[WrittenScan], None] | None = None,
    *,
    spacing_irc_mm: Triple | None = None,
) -> list[Path]:
    """Write phantoms 0 to `scans` - 1 of a seed and their truth; returns the scans' paths.

    subset0/UID.mhd and .zraw (other formats: another suffix; DICOM: a folder of slices), annotations.csv, candidates.csv
    (nodules 1; vessel forks, fissures and ribs 0), annotations_with_malignancy.csv (at least two of four readers gave 4 or
    5) and nodules.csv, which adds the kinds. Positions are patient mm, whatever the orientation.

    format         : mhd, dicom, nifti or nrrd
    orientation    : three letters, where column, row and slice index increase to: see `writers.orient`
    progress       : called after each scan
    spacing_irc_mm : in place of each scan's own, for small data sets

    The tables are written anew after every scan, so what was finished counts. Raises UsageError for an unknown format or
    orientation, for a negative seed, where `folder` is a file and while another process writes there; NotWritten.
    """
    folder = Path(folder)
    check(format, orientation)
    if seed < 0 or scans < 1:
        raise UsageError("--seed must be 0 or more and --scans 1 or more.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder to write the phantoms into.")
    subset = folder / "subset0"
    files.make_folder(subset)
    truth, paths = _Truth(), []
    with alone_in(folder, option="DIR"):
        files.clear(subset)
        for index in range(scans):
            phantom = make_chest(seed, index, spacing_irc_mm=spacing_irc_mm)
            path = write(orient(phantom.volume, orientation), subset, format, patient=f"PHANTOM^{index}")
            truth.add(phantom)
            truth.write(folder)
            paths.append(path)
            if progress is not None:
                progress(WrittenScan(path, phantom.volume.source.series_uid, phantom.nodules))
    return paths


def _table(header: Iterable[str], rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue()
