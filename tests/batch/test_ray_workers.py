"""Who gets which scan on a cluster, and what happens when workers die: by a stand-in for Ray that dies on command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lungscan.batch import ray
from lungscan.batch.inputs import Scan
from lungscan.batch.outputs import FolderOutputs
from lungscan.batch.ray import TRIES, _Pool, _rows, _shares
from lungscan.batch.rows import OK, Row
from lungscan.batch.work import Order
from lungscan.errors import EngineUnavailable
from lungscan.settings import Settings


class Died(Exception):
    pass


@dataclass(eq=False)
class Actor:
    """Lives until a scan kills it; then whatever it had under way is lost."""

    ray: Any
    alive: bool = True
    under_way: int = 0
    most: int = 0

    @property
    def ready(self) -> Any:
        return SimpleNamespace(remote=lambda: Ref(self, lambda: self.ray.refusal))

    @property
    def examine(self) -> Any:
        return SimpleNamespace(remote=self._examine)

    def _examine(self, scan: Scan) -> Ref:
        self.under_way += 1
        self.most = max(self.most, self.under_way)

        def result() -> Any:
            self.under_way -= 1
            if self.alive and self.ray.kills(scan):
                self.alive = False
            if not self.alive:
                raise Died
            return Row(scan.name, scan.path, OK), {"report.json": b"{}", "below/x.csv": b"x"}

        return Ref(self, result)


@dataclass(eq=False)
class Ref:
    actor: Actor
    result: Callable[[], Any]


@dataclass
class FakeRay:
    kills: Callable[[Scan], bool] = lambda _: False
    refusal: EngineUnavailable | None = None
    actors: list[Actor] = field(default_factory=list)
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(RayError=Died, RayTaskError=ZeroDivisionError))

    def remote(self, _: type) -> Any:
        def start(*_: object) -> Actor:
            self.actors.append(Actor(self))
            return self.actors[-1]

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=start))

    def wait(self, refs: list[Ref], **_: object) -> tuple[list[Ref], list[Ref]]:
        return refs[-1:], refs[:-1]

    def get(self, ref: Ref) -> Any:
        return ref.result()


def scans(count: int) -> list[Scan]:
    return [Scan(f"{k}", f"p{k}", None, "") for k in range(count)]


def rows(fake: FakeRay, folder: Path, count: int = 10, jobs: int = 2, workers: int = 2) -> list[Row]:
    pool = _Pool(fake, Order(Settings()), jobs, None)
    for _ in range(workers):
        pool.start({"num_cpus": 1})
    return [done[1] for done in _rows(iter(scans(count)), pool, FolderOutputs(folder)) if done is not None]


def test_each_scan_comes_once_and_its_files_are_staged(tmp_path: Path) -> None:
    fake = FakeRay()
    assert sorted(row.name for row in rows(fake, tmp_path)) == [f"{k}" for k in range(10)]
    assert (tmp_path / ".part" / "new" / "3" / "below" / "x.csv").read_bytes() == b"x"
    assert [actor.most for actor in fake.actors] == [2, 2]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_what_a_dead_worker_had_goes_to_others_and_another_takes_its_place(tmp_path: Path, jobs: int) -> None:
    once = {"1", "4"}

    def kills(scan: Scan) -> bool:
        dies = scan.name in once
        once.discard(scan.name)
        return dies

    fake = FakeRay(kills)
    done = rows(fake, tmp_path, jobs=jobs)
    assert sorted((row.name, row.status) for row in done) == [(f"{k}", OK) for k in range(10)]
    assert len(fake.actors) == 4


def test_a_scan_that_kills_every_worker_is_a_row(tmp_path: Path) -> None:
    done = rows(FakeRay(lambda scan: scan.name == "3"), tmp_path, jobs=1)
    assert [(row.name, row.reason) for row in done if row.status != OK] == [("3", f"its worker died {TRIES} times.")]
    assert len(done) == 10


def test_a_worker_that_cannot_serve_ends_the_batch(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no such engine"):
        rows(FakeRay(refusal=EngineUnavailable("no such engine")), tmp_path)


def test_a_cluster_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "PATIENCE_S", 0.0)
    with pytest.raises(EngineUnavailable, match="no room for a worker"):
        rows(FakeRay(), tmp_path, workers=0)


def test_a_worker_takes_a_gpu_or_a_group_of_cores() -> None:
    nodes = [{"Alive": True, "Resources": r} for r in ({"CPU": 2.0}, {"CPU": 17.0, "GPU": 2.0}, {"GPU": 1.0})]
    cluster: Any = SimpleNamespace(nodes=lambda: [*nodes, {"Alive": False, "Resources": {"CPU": 64.0}}])
    assert _shares(cluster, "cpu") == [{"num_cpus": 2}, {"num_cpus": 8}, {"num_cpus": 8}]
    assert _shares(cluster, "cuda") == 3 * [{"num_gpus": 1, "num_cpus": 1}]
