"""When a scan that arrives counts as whole, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

from lungscan.batch.inputs import Scan
from lungscan.batch.watch import arrivals


class Inbox:
    """Scans by moments: `at[t]` holds from second t on."""

    def __init__(self, at: dict[int, list[tuple[str, str]]]) -> None:
        self.at, self.seconds = at, 0

    def now(self) -> float:
        return float(self.seconds)

    def look(self) -> list[Scan]:
        last = max(second for second in self.at if second <= self.seconds)
        return [Scan(name, name, None, stamp) for name, stamp in self.at[last]]

    def told(self, until: int) -> Iterator[tuple[int, str, str]]:
        for scan in arrivals(self.look, 10, self.now):
            if scan is not None:
                yield self.seconds, scan.name, scan.stamp
            else:
                self.seconds += 1
            if self.seconds > until:
                return


def test_a_scan_is_whole_when_unchanged_for_the_settling_time() -> None:
    inbox = Inbox({0: [], 3: [("a", "1")], 6: [("a", "2")], 9: [("a", "3"), ("b", "1")]})
    told = list(inbox.told(60))
    assert [(name, stamp) for _, name, stamp in told] == [("a", "3"), ("b", "1")]
    assert all(9 + 10 <= second <= 9 + 10 + 2 * 10 / 4 + 1 for second, _, _ in told)


def test_a_scan_that_changes_later_comes_again() -> None:
    inbox = Inbox({0: [("a", "1")], 30: [("a", "2")], 60: [], 62: [("a", "2")]})
    assert [(name, stamp) for _, name, stamp in inbox.told(120)] == [("a", "1"), ("a", "2")]


def test_what_goes_before_it_settled_never_comes() -> None:
    assert list(Inbox({0: [("a", "1")], 8: []}).told(60)) == []
