"""A batch on a cluster of two nodes on this machine: the same outputs, and nothing lost when a node dies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.made import MARKS, contents, write_chests, write_weights
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
SCANS = 10

ON_A_CLUSTER = """
import sys
from unittest import mock

from ray.cluster_utils import Cluster

from lungscan.commands import main
from lungscan.commands.batch_display import Display

memory = 100 * 2**20
head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": memory}
cluster = Cluster(initialize_head=True, head_node_args=head)
other = cluster.add_node(num_cpus=1, object_store_memory=memory)
kill_after, *sys.argv = [*sys.argv[1:], "--ray", cluster.address]
show, rows = Display.row, []


def row(self, row):
    show(self, row)
    rows.append(row)
    if len(rows) == int(kill_after):
        cluster.remove_node(other, allow_graceful=False)


try:
    with mock.patch.object(Display, "row", row):
        main()
finally:
    cluster.shutdown()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    write_chests(tmp_path / "in", SCANS)
    (tmp_path / "in" / "junk.zip").write_bytes(b"no zip")
    write_weights(tmp_path / "w.safetensors")
    return tmp_path


def batch(kill_after: int | None = None) -> subprocess.CompletedProcess[str]:
    arguments = ["batch", "in", "-o", "out", "--weights", "w.safetensors", *MARKS, "--write", "csv"]
    start = ["-m", "lungscan.commands"] if kill_after is None else ["-c", ON_A_CLUSTER, str(kill_after), "lungscan"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.run([sys.executable, *start, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("kill_after", [0, 3], ids=["whole", "a node is killed"])
def test_a_cluster_gives_what_one_machine_gives(here: Path, kill_after: int) -> None:
    done = batch()
    assert done.returncode == 5, done.stderr
    expected = contents(here / "out")
    shutil.rmtree(here / "out")
    done = batch(kill_after=kill_after)
    assert done.returncode == 5, done.stderr
    assert contents(here / "out") == expected
    told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("ok ", "refused "))]
    assert len(told) == len(set(told)) == SCANS + 1
