"""What is accepted as the earlier scan: its files, or a report whose files are still what they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungscan.comparison.prior import ScanSource, scan_source
from lungscan.errors import InputRefused, UsageError
from lungscan.report.json import to_json
from lungscan.report.sample import sample_report
from tests.support import volume


def report(folder: Path, path: str, series: str = "1.2.3", sha256: str = "ab") -> Path:
    sample = sample_report()
    facts = replace(sample.input, path=path, series_uid=series, sha256=sha256)
    file = folder / "report.json"
    file.write_text(to_json(replace(sample, input=facts)))
    return file


def test_files_mean_themselves(tmp_path: Path) -> None:
    assert scan_source(tmp_path / "scan.zip") == ScanSource(tmp_path / "scan.zip")


@pytest.mark.parametrize("named", ["absolute", "beside", "elsewhere"])
def test_a_report_means_the_scan_that_it_names(tmp_path: Path, named: str) -> None:
    scan = tmp_path / "scan.mhd"
    scan.touch()
    path = {"absolute": str(scan), "beside": "scan.mhd", "elsewhere": "/not/there/scan.mhd"}[named]
    file = report(tmp_path, path)
    assert scan_source(file) == ScanSource(scan, "1.2.3", "ab", file)


def test_a_report_whose_scan_is_gone_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"holds no images.*gone\.mhd is not there"):
        scan_source(report(tmp_path, "gone.mhd"))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": "other/1", "input": {}}', "\xff", json.dumps({"schema": 1})])
def test_what_is_no_report(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="no report of lungscan"):
        scan_source(file)


def test_another_schema_is_no_report(tmp_path: Path) -> None:
    file = report(tmp_path, "scan.mhd")
    file.write_text(file.read_text().replace("lungscan-report/", "other/"))
    with pytest.raises(UsageError, match="no report of lungscan"):
        scan_source(file)


def test_the_voxels_must_be_those_of_the_report(tmp_path: Path) -> None:
    scan = tmp_path / "scan.mhd"
    scan.touch()
    there = volume(np.zeros((2, 3, 4)))
    scan_source(report(tmp_path, "scan.mhd", sha256=there.sha256())).verify(there)
    with pytest.raises(InputRefused, match="no longer the scan of"):
        scan_source(report(tmp_path, "scan.mhd")).verify(there)
    ScanSource(scan).verify(there)
