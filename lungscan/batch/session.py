"""A batch in its folder: what is finished, what is missing, and what is kept of a scan that is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lungscan.batch import summary
from lungscan.batch.inputs import Scan
from lungscan.batch.journal import Entry, Journal
from lungscan.batch.outputs import Outputs, outputs_at
from lungscan.batch.rows import FAILED, Row
from lungscan.batch.work import Order, key_of
from lungscan.files import writing
from lungscan.lock import alone_in


class Batch:
    """The rows and outputs of one order in one folder. `open_batch` makes it."""

    def __init__(self, order: Order, order_key: str, outputs: Outputs, journal: Journal) -> None:
        self.order = order
        self.outputs = outputs
        self._key = order_key
        self._journal = journal

    def missing(self, scans: Sequence[Scan]) -> list[Scan]:
        """Those that are not finished: new, changed, failed, asked for otherwise before, or no longer in the outputs."""
        return [scan for scan in scans if not self.finished(scan)]

    def finished(self, scan: Scan) -> bool:
        entry = self._entry(scan)
        return entry is not None and entry.row.status != FAILED and self.outputs.has(entry)

    def row(self, scan: Scan) -> Row | None:
        """None for a scan that was not worked on yet."""
        entry = self._entry(scan)
        return None if entry is None else entry.row

    def keep(self, scan: Scan, row: Row) -> None:
        """Raises NotWritten when the outputs cannot be written."""
        with writing(self.outputs.told):
            self.outputs.keep(Entry(key_of(scan, self._key), row), self._journal.add)

    def rows(self) -> list[Row]:
        """By name: of all scans that this order was ever carried out on in this folder."""
        return [entry.row for entry in self._journal if entry.key.startswith(f"{self._key}.")]

    def summarise(self) -> None:
        """Write the files about all scans. Raises NotWritten when they cannot be written."""
        rows = self.rows()
        with writing(self.outputs.told):
            for name, make in summary.FILES.items():
                self.outputs.publish(name, make(rows))

    def _entry(self, scan: Scan) -> Entry | None:
        entry = self._journal.get(scan.name)
        return entry if entry is not None and entry.key == key_of(scan, self._key) else None


@contextmanager
def open_batch(where: str, order: Order, *, restart: bool = False) -> Iterator[Batch]:
    """A batch in a folder or behind a URL, which no other process can open meanwhile; with `restart` nothing counts as
    finished, and the outputs of before are removed.

    Raises UsageError when another process writes there, NotWritten when nothing can be written, and as `Order.key` does.
    """
    key = order.key()
    outputs = outputs_at(where)
    path = outputs.home / "journal.jsonl"
    with alone_in(outputs.home, outputs.told):
        with writing(outputs.told):
            journal = Journal(path)
        try:
            with writing(outputs.told):
                if restart:
                    for entry in journal:
                        outputs.remove(entry.row.name)
                    journal.clear()
                outputs.recover(journal)
            yield Batch(order, key, outputs, journal)
        finally:
            journal.close()
            with writing(outputs.told):
                outputs.recover(journal)
