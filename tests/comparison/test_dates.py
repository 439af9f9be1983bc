"""The time between two scans, by their files or by what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset

from lungscan.comparison.dates import days_between
from lungscan.errors import UsageError
from lungscan.readers import read
from lungscan.volume import Source
from tests.readers.files import chest_like, dicom_folder


def source(**facts: str) -> Source:
    return Source("a.zip", "dicom", "1.2", facts=facts)


@pytest.mark.parametrize(
    ("prior", "now", "days"),
    [
        ({"study_date": "20240101"}, {"study_date": "20250101"}, 366),
        ({"acquisition_date": "20240101", "study_date": "20230101"}, {"acquisition_date": "20240131"}, 30),
        ({"acquisition_date": "", "study_date": "20240101"}, {"study_date": "20240102"}, 1),
        ({}, {"study_date": "20240102"}, None),
        ({"study_date": "2024"}, {"study_date": "20240102"}, None),
        ({"study_date": "20000101"}, {"study_date": "20000101"}, None),
    ],
)
def test_dates_of_the_files(prior: dict[str, str], now: dict[str, str], days: float | None) -> None:
    assert days_between(source(**prior), source(**now), None) == days


def test_months_that_are_given_come_first() -> None:
    now = source(study_date="20240101")
    assert days_between(now, now, 12.0) == pytest.approx(365.25)


def test_the_earlier_scan_comes_first() -> None:
    with pytest.raises(UsageError, match="give the earlier scan first"):
        days_between(source(study_date="20240102"), source(study_date="20240101"), None)


def test_dicom_files_tell_the_time_between(tmp_path: Path) -> None:
    """The date of the acquisition comes before that of the study."""

    def dated(acquired: str) -> Callable[[Dataset, int], None]:
        def edit(ds: Dataset, _: int) -> None:
            ds.AcquisitionDate, ds.StudyDate = acquired, "20200101"

        return edit

    hu = chest_like()
    first, second = (read(dicom_folder(tmp_path / date, hu, dated(date))).source for date in ("20230301", "20240229"))
    assert days_between(first, second, None) == 365
