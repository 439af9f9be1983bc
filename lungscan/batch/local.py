"""Scans on this machine: each of `jobs` threads takes one from its files to its outputs.

While one scan is computed another is read and a third is written, by networks that were loaded once. A scan is fetched from
its iterator only when a thread is free for it and rows are taken as fast as they come, so `jobs` bounds the memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from lungscan.batch.inputs import Scan
from lungscan.batch.outputs import Outputs
from lungscan.batch.rows import Row
from lungscan.batch.work import Examiner, row_of
from lungscan.errors import NotWritten
from lungscan.stages import Progress

Told = Callable[[Scan], Progress]
"""Asked for the progress of a scan that is begun."""

PAUSE_S = 0.2
"""Between two looks whether a scan has come."""

Done = tuple[Scan, Row]


class Stopped(BaseException):
    """The batch was interrupted: a scan is let go of at its next step."""


def run(
    scans: Iterable[Scan | None], examiner: Examiner, outputs: Outputs, jobs: int, told: Told
) -> Generator[Done | None, None, None]:
    """Rows as they come. A None among the scans says that none is there yet; it is handed on when all is done.

    When the caller leaves early the scans under way are given up. Raises NotWritten when outputs cannot be written.
    """
    stop = threading.Event()

    def one(scan: Scan) -> Done:
        progress = told(scan)

        def step(stage: str, done: int, total: int) -> None:
            if stop.is_set():
                raise Stopped
            progress(stage, done, total)

        try:
            return scan, examiner(scan, outputs.stage(scan.name), step)
        except NotWritten:
            raise
        except Exception as error:
            return scan, row_of(scan, error)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="scan")
    running: set[Future[Done]] = set()
    try:
        for scan in scans:
            if scan is not None:
                running.add(pool.submit(one, scan))
            elif running:
                wait(running, PAUSE_S, FIRST_COMPLETED)
            else:
                yield None
                time.sleep(PAUSE_S)
            while len(running) >= jobs and not any(future.done() for future in running):
                wait(running, return_when=FIRST_COMPLETED)
            yield from _taken(running)
        while running:
            wait(running, return_when=FIRST_COMPLETED)
            yield from _taken(running)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _taken(running: set[Future[Done]]) -> Iterator[Done]:
    for future in [future for future in running if future.done()]:
        running.remove(future)
        yield future.result()
