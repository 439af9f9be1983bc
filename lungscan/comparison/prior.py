"""What `--prior` and `lungscan compare` accept as a scan: a path to it, or the JSON report of an earlier one.

A report holds no images, so the scan that it names is read again and examined as the other one is, with the same networks:
only so are both measured alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lungscan.errors import InputRefused, UsageError
from lungscan.volume import Volume

SCHEMA = "lungscan-report/"


@dataclass(frozen=True)
class ScanSource:
    """Where a scan lies; what a report says of it must hold when it is read."""

    path: Path
    series: str | None = None
    sha256: str | None = None
    report: Path | None = None

    def verify(self, volume: Volume) -> None:
        """Raise InputRefused when the voxels are no longer those of the report."""
        if self.sha256 is not None and volume.sha256() != self.sha256:
            raise InputRefused(f"{self.path} is no longer the scan of {self.report}; give the scan itself.")


def scan_source(path: Path) -> ScanSource:
    """The scan that a path means: itself, or the one that a JSON report names, where it lay or beside the report.

    Raises UsageError when the file is JSON but no report of ours, InputRefused when its scan cannot be found.
    """
    if path.suffix.lower() != ".json":
        return ScanSource(path)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        schema, facts = report["schema"], report["input"]
        named, series, sha256 = Path(facts["path"]), str(facts["series_uid"]), str(facts["sha256"])
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no report of lungscan; give a scan, or the JSON report of one.") from error
    if not str(schema).startswith(SCHEMA):
        raise UsageError(f"{path} is no report of lungscan; give a scan, or the JSON report of one.")
    for place in (named, path.parent / named, path.parent / named.name):
        if place.exists():
            return ScanSource(place, series or None, sha256, path)
    raise InputRefused(
        f"{path} holds no images, and its scan {named} is not there to be aligned; give the scan itself, or put it beside."
    )
