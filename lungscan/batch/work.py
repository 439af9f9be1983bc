"""One scan of a batch: read, examined and written by networks that are open. Whatever goes wrong becomes its row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from lungscan import __version__, weights
from lungscan.batch.inputs import Scan
from lungscan.batch.places import at_hand
from lungscan.batch.rows import FAILED, REFUSED, Row
from lungscan.budget import share
from lungscan.clock import Clock
from lungscan.errors import InputRefused, LungscanError, NotWritten, UsageError
from lungscan.pipeline import Networks, examine_volume
from lungscan.readers import read
from lungscan.report import writing
from lungscan.settings import Settings
from lungscan.stages import Progress, silent


@dataclass(frozen=True)
class Order:
    """What is wanted of every scan: besides its report as JSON, the kinds of `lungscan.report.writing`."""

    settings: Settings
    kinds: tuple[str, ...] = ()
    all_candidates: bool = False

    def key(self) -> str:
        """Changes with whatever changes a row or an output: settings, kinds, the weights' hash, lungscan's version.

        Raises UsageError or WeightsRefused as `lungscan.weights.load` does.
        """
        told = {
            **asdict(self.settings),
            "weights": weights.load(self.settings.weights or weights.shipped()).sha256,
            "kinds": sorted(set(self.kinds)),
            "all_candidates": self.all_candidates,
            "version": __version__,
        }
        return _digest(told)


def key_of(scan: Scan, order_key: str) -> str:
    """What a row was made from: the order, then a scan's path, series and files. Equal keys, equal rows."""
    return f"{order_key}.{_digest({'path': scan.path, 'series': scan.series, 'stamp': scan.stamp})}"


class Examiner:
    """Examines scans from several threads: one at a time is computed, while others are read and written.

    An engine's requests belong to one caller at a time, and one scan keeps a CPU or a GPU busy. The report's times say as
    "wait" how long a scan that was read waited for its turn. Of a bound on memory each of `jobs` scans has its share.
    """

    def __init__(self, order: Order, networks: Networks, jobs: int = 1) -> None:
        self._order = order
        self._settings = replace(order.settings, max_memory=share(order.settings.max_memory, jobs))
        self._networks = networks
        self._turn = Lock()

    def __call__(self, scan: Scan, folder: Path, progress: Progress = silent) -> Row:
        """The scan's row; its outputs are in `folder` when the row is ok. Raises NotWritten: no scan's own fault."""
        try:
            with at_hand(scan.path) as path:
                try:
                    return self._examined(scan, path, folder, progress)
                except LungscanError as error:
                    raise type(error)(str(error).replace(path, scan.path)) from error
        except NotWritten:
            raise
        except Exception as error:
            return row_of(scan, error)

    def _examined(self, scan: Scan, path: str, folder: Path, progress: Progress) -> Row:
        order = self._order
        writing.check(order.kinds, Path(path))
        clock = Clock()
        with clock("read"):
            volume = read(path, scan.series, self._networks.room(self._settings))
        with clock("wait"):
            self._turn.acquire()
        try:
            examination = examine_volume(volume, self._networks, self._settings, progress, clock)
        finally:
            self._turn.release()
        told = replace(examination.report, input=replace(examination.report.input, path=scan.path))
        writing.write(("json", *order.kinds), replace(examination, report=told), folder, all_candidates=order.all_candidates)
        page = "report.html" if "html" in order.kinds else "report.json"
        return Row.of(scan.name, told, page, all_candidates=order.all_candidates)


def row_of(scan: Scan, error: Exception) -> Row:
    """One bad scan of a thousand must not end the night's run."""
    if isinstance(error, LungscanError):
        status = REFUSED if isinstance(error, InputRefused | UsageError) else FAILED
        return Row(scan.name, scan.path, status, str(error))
    return Row(scan.name, scan.path, FAILED, f"unexpected {type(error).__name__}: {error}")


def _digest(told: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
