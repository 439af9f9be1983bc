"""Scans on a Ray cluster: a worker a GPU or a group of cores, with networks of its own from weights that were sent once.

Workers make a scan's outputs and send them; this process alone writes and keeps the journal, so the outputs are those of
one machine. Each worker has at most `jobs` scans under way. When a node dies its scans go to others, and a worker is asked
for in the place of the one that was lost.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from lungscan import __version__, weights
from lungscan.batch.inputs import Scan
from lungscan.batch.local import PAUSE_S, Done
from lungscan.batch.outputs import Outputs
from lungscan.batch.rows import FAILED, OK, Row
from lungscan.batch.work import Examiner, Order, row_of
from lungscan.errors import EngineUnavailable, LungscanError, NotWritten
from lungscan.pipeline import Networks

CORES = 8
"""Of a worker, where its node has so many."""

TRIES = 3
"""A scan whose workers died so often is given up: it may be what kills them."""

KNOCK_S = 10.0
"""So long a cluster may take to answer."""

PATIENCE_S = 300.0
"""So long it may take until there is a worker."""

Files = dict[str, bytes]


class Worker:
    """Lives on a node of the cluster. What keeps it from working is told by `ready`."""

    def __init__(self, order: Order, content: bytes, folder: str, version: str) -> None:
        self._refusal: LungscanError | None = None
        if Path(folder).is_dir():
            os.chdir(folder)  # paths are relative to where the batch was started
        try:
            if version != __version__:
                raise EngineUnavailable(
                    f"the cluster has lungscan {__version__}, not {version}; install the same everywhere."
                )
            with tempfile.TemporaryDirectory(prefix="lungscan-") as here:
                file = Path(here, "weights.safetensors")
                file.write_bytes(content)
                networks = Networks.open(replace(order.settings, weights=file))
            self._examine = Examiner(order, networks)
        except LungscanError as error:
            self._refusal = error

    def ready(self) -> LungscanError | None:
        return self._refusal

    def examine(self, scan: Scan) -> tuple[Row, Files]:
        with tempfile.TemporaryDirectory(prefix="lungscan-") as here:
            folder = Path(here)
            row = self._examine(scan, folder)
            made = sorted(path for path in folder.rglob("*") if path.is_file()) if row.status == OK else []
            return row, {path.relative_to(folder).as_posix(): path.read_bytes() for path in made}


@dataclass
class _Pool:
    """The workers. `busy` tells how many scans each has under way."""

    ray: Any
    order: Order
    jobs: int
    content: Any
    busy: dict[Any, int] = field(default_factory=dict)
    starting: dict[Any, tuple[Any, dict[str, float]]] = field(default_factory=dict)
    shares: dict[Any, dict[str, float]] = field(default_factory=dict)

    def start(self, share: dict[str, float]) -> None:
        actor = self.ray.remote(Worker).options(max_concurrency=self.jobs, max_restarts=0, **share)
        worker = actor.remote(self.order, self.content, str(Path.cwd()), __version__)
        self.starting[worker.ready.remote()] = worker, share

    def started(self, ref: Any) -> None:
        """Raises LungscanError when the worker cannot serve."""
        worker, share = self.starting.pop(ref)
        try:
            refusal = self.ray.get(ref)
        except self.ray.exceptions.RayError:
            self.start(share)
            return
        if refusal is not None:
            raise refusal
        self.busy[worker] = 0
        self.shares[worker] = share

    def free(self) -> Any | None:
        """The worker with the fewest scans, if it can take one more."""
        worker = min(self.busy, key=lambda w: self.busy[w], default=None)
        return worker if worker is not None and self.busy[worker] < self.jobs else None

    def done(self, worker: Any) -> None:
        if worker in self.busy:
            self.busy[worker] -= 1

    def lost(self, worker: Any) -> None:
        """Told once for each scan that it had under way."""
        if worker in self.busy:
            del self.busy[worker]
            self.start(self.shares.pop(worker))

    def end(self) -> None:
        for worker in [*self.busy, *(worker for worker, _ in self.starting.values())]:
            self.ray.kill(worker)


def run(
    scans: Iterable[Scan | None], order: Order, outputs: Outputs, jobs: int, address: str
) -> Generator[Done | None, None, None]:
    """Rows as they come, as `lungscan.batch.local.run` tells them; the outputs of each are staged.

    Raises EngineUnavailable when Ray is not installed, the cluster cannot be reached or has no room for a worker, and as
    `Networks.open` does on a worker.
    """
    content = (order.settings.weights or weights.shipped()).read_bytes()
    with _cluster(address) as ray:
        pool = _Pool(ray, order, jobs, ray.put(content))
        for share in _shares(ray, order.settings.device):
            pool.start(share)
        try:
            yield from _rows(iter(scans), pool, outputs)
        finally:
            pool.end()


def _rows(scans: Iterator[Scan | None], pool: _Pool, outputs: Outputs) -> Iterator[Done | None]:
    ray = pool.ray
    again: deque[Scan] = deque()
    tries: Counter[str] = Counter()
    running: dict[Any, tuple[Scan, Any]] = {}
    more, alive = True, time.monotonic()
    while more or again or running:
        while (worker := pool.free()) is not None and (more or again):
            try:
                scan = again.popleft() if again else next(scans)
            except StopIteration:
                more = False
                break
            if scan is None:
                break
            running[worker.examine.remote(scan)] = scan, worker
            pool.busy[worker] += 1
        if not running and worker is not None:
            yield None
        if pool.busy:
            alive = time.monotonic()
        elif time.monotonic() - alive > PATIENCE_S:
            raise EngineUnavailable(f"the cluster had no room for a worker in {PATIENCE_S:.0f} s; see `ray status`.")
        for ref in _ended(ray, [*running, *pool.starting]):
            if ref in pool.starting:
                pool.started(ref)
                continue
            scan, worker = running.pop(ref)
            pool.done(worker)
            try:
                row, files = ray.get(ref)
                _stage(outputs.stage(scan.name), files)
                yield scan, row
            except ray.exceptions.RayTaskError as error:
                yield scan, row_of(scan, error)
            except ray.exceptions.RayError:
                pool.lost(worker)
                tries[scan.name] += 1
                if tries[scan.name] < TRIES:
                    again.append(scan)
                else:
                    yield scan, Row(scan.name, scan.path, FAILED, f"its worker died {TRIES} times.")
            except NotWritten:
                raise
            except (LungscanError, OSError) as error:
                yield scan, row_of(scan, error)


def _ended(ray: Any, refs: list[Any]) -> list[Any]:
    if not refs:
        time.sleep(PAUSE_S)
        return []
    ended: list[Any] = ray.wait(refs, num_returns=1, timeout=PAUSE_S)[0]
    return ended


def _stage(folder: Path, files: Files) -> None:
    from lungscan.files import write_bytes

    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, content)


def _shares(ray: Any, device: str) -> list[dict[str, float]]:
    """What each worker takes of the cluster: a GPU, or a group of a node's cores."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if device == "cuda":
        return [{"num_gpus": 1, "num_cpus": 1} for node in nodes for _ in range(int(node.get("GPU", 0)))]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    return [{"num_cpus": min(n, CORES)} for n in cpus for _ in range(max(1, n // CORES)) if n]


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise EngineUnavailable("--ray needs Ray, which is not installed: pip install 'lungscan-ct[cluster]'.") from error
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False, namespace="lungscan")
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineUnavailable(f"there is no Ray cluster at {address} ({error}).") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError when nobody listens at HOST:PORT: Ray itself would ask for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
