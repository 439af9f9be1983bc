"""When two scans were made, by what their files say, and the time between them."""

from __future__ import annotations

from datetime import date, datetime

from lungscan.clinical.history import DAYS_A_MONTH
from lungscan.errors import UsageError
from lungscan.volume import Source


def scan_date(source: Source) -> date | None:
    """The date of the acquisition, else of the study; None where the file gives none that can be read."""
    for key in ("acquisition_date", "study_date"):
        try:
            return datetime.strptime(source.facts.get(key, ""), "%Y%m%d").date()
        except ValueError:
            continue
    return None


def days_between(prior: Source, now: Source, months: float | None) -> float | None:
    """Days from the earlier to the newer scan; `months` comes before the files' dates. None where neither tells.

    Two equal dates tell nothing: anonymised scans carry them. Raises UsageError when the dates run backwards.
    """
    if months is not None:
        return months * DAYS_A_MONTH
    first, second = scan_date(prior), scan_date(now)
    if first is None or second is None or first == second:
        return None
    if first > second:
        raise UsageError(
            f"{prior.path} is of {first}, later than {now.path} of {second}; give the earlier scan first, or --months."
        )
    return float((second - first).days)
