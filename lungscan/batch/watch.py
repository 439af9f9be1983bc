"""Scans as they arrive: one is whole when none of its files has come, gone or changed for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from lungscan.batch.inputs import Scan

LOOKS = 4
"""So often the inputs are looked through while a scan settles."""


def arrivals(
    look: Callable[[], list[Scan]], settle_s: float, now: Callable[[], float] = time.monotonic
) -> Iterator[Scan | None]:
    """Each scan once it is whole, and again when it has changed and settled anew; None while there is nothing to do.

    look : tells the scans of this moment
    """
    since: dict[str, tuple[str, float]] = {}
    given: dict[str, str] = {}
    while True:
        looked = now()
        for scan in look():
            if since.get(scan.name, ("",))[0] != scan.stamp:
                since[scan.name] = scan.stamp, looked
            elif given.get(scan.name) != scan.stamp and looked - since[scan.name][1] >= settle_s:
                given[scan.name] = scan.stamp
                yield scan
        yield None
        while now() - looked < settle_s / LOOKS:
            yield None
