"""A scan beside what is known of its patient: an earlier scan, and the facts that guidelines ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungscan.budget import share
from lungscan.clinical.assess import assess
from lungscan.clinical.nodules import measured_nodules
from lungscan.clinical.patient import PatientFacts
from lungscan.clock import Clock
from lungscan.comparison.compare import Comparison
from lungscan.comparison.compare import compare as compare_examined
from lungscan.comparison.prior import scan_source
from lungscan.pipeline import Examination, Networks, examine_volume
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.stages import Progress, silent


def examine(
    path: str | Path,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    progress: Progress = silent,
    *,
    patient: PatientFacts | None = None,
    prior: Path | None = None,
    months: float | None = None,
) -> Examination:
    """A scan, compared with an earlier one where one is given, and judged by guidelines where the patient's facts are.

    prior  : the files of the earlier scan, or its JSON report
    months : between the scans, in place of the dates in their files

    Raises a LungscanError when a scan cannot be read or the two cannot be aligned.
    """
    settings = replace(settings, max_memory=share(settings.max_memory, 1 if prior is None else 2))
    clock = Clock()
    with clock("load"):
        networks = Networks.open(settings)
    with clock("read"):
        volume = read(path, settings.series, networks.room(settings))
    now = examine_volume(volume, networks, settings, progress, clock)
    if prior is not None:
        now = replace(now, comparison=compare_examined(_again(prior, networks, settings, progress), now, months))
    if patient is not None:
        earlier = None if now.comparison is None else now.comparison.guidelines
        now = replace(now, assessment=assess(measured_nodules(now), patient, earlier))
    return now


def compare(
    prior: Path,
    now: Path,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    months: float | None = None,
    progress: Progress = silent,
) -> Comparison:
    """What became of each nodule between two scans, each given by its files or by the JSON report of an earlier scan.

    months : between the scans, in place of the dates in their files

    Raises a LungscanError when a scan cannot be read or the two cannot be aligned.
    """
    networks = Networks.open(settings)
    first, second = (_again(path, networks, settings, progress) for path in (prior, now))
    return compare_examined(first, second, months)


def _again(path: Path, networks: Networks, settings: Settings, progress: Progress) -> Examination:
    """The scan that a path or a report names, examined by networks that are open.

    Raises InputRefused when it is no longer the scan of the report.
    """
    source = scan_source(path)
    volume = read(source.path, source.series, networks.room(settings))
    source.verify(volume)
    return examine_volume(volume, networks, replace(settings, series=source.series), progress)
