"""A data set → the cache, whole, in parts, and with scans that cannot be read."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungscan import weights
from lungscan.commands import app
from lungscan.errors import EngineUnavailable, InputRefused, UsageError
from lungscan.phantom import write_dataset
from lungscan.training import splits
from lungscan.training.cache import Cache
from lungscan.training.prepare import Form, find_jobs, prepare_one
from tests.conftest import ROOT
from tests.support import random_networks, small_card

FORM = Form((2.0, 1.25, 1.25))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_dataset(folder, 2, 0, spacing_irc_mm=(3.0, 1.4, 1.4))
    return folder


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(folder), "--preview", str(folder / "sheets")])
    assert done.exit_code == 0, done.output
    assert "2 scans prepared, 2 in the cache, 0 skipped" in done.output
    for name in ("training", "validation"):
        picture = np.asarray(Image.open(folder / "sheets" / f"{name}.png")).astype(int)
        assert (picture[..., 0] > picture[..., 1]).any()
    shutil.rmtree(folder / "sheets")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_each_nodule_lies_in_its_label_on_the_card_s_grid(whole: Path) -> None:
    cache = Cache(whole)
    for entry in cache.entries():
        assert entry.spacing_irc_mm == (2.0, 1.25, 1.25)
        hu, lungs, label = cache.maps(entry)
        assert entry.nodules
        assert lungs.any()
        for number, nodule in enumerate(entry.nodules, 1):
            at = tuple(np.rint(entry.grid.irc(nodule.centre_xyz_mm)).astype(int))
            assert label[at] == number
            assert lungs[at]
        assert (hu[(label > 0) & (label < 255)] > -700).mean() > 0.9
    assert splits.read(whole) == splits.split(cache.entries())


def test_an_interrupted_run_gives_the_same_bytes(dataset: Path, whole: Path, tmp_path: Path) -> None:
    """One scan whole, of the other what a killed process leaves: maps without an index, half a file."""
    first, second = find_jobs(dataset)
    prepare_one(second, tmp_path, FORM)
    (tmp_path / first.name).mkdir()
    (tmp_path / first.name / "hu.npy").write_bytes(b"half")
    (tmp_path / first.name / ".label.npy.x1").write_bytes(b"")
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(tmp_path)])
    assert "1 scans prepared, 2 in the cache" in done.output
    assert contents(tmp_path) == contents(whole)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the killed run's workers in /proc")
@pytest.mark.parametrize("compress", [False, True], ids=["npy", "blosc2"])
def test_killed_at_any_moment_and_run_again_it_gives_the_same_bytes(
    dataset: Path, whole: Path, tmp_path: Path, compress: bool
) -> None:
    """kill -9 and Ctrl-C as soon as a scan's first file is begun, then a run to the end."""
    form = replace(FORM, compress=compress)
    once, cache = tmp_path / "once", tmp_path / "cache"
    jobs = find_jobs(dataset)
    if compress:
        pytest.importorskip("blosc2")
        for job in jobs:
            prepare_one(job, once, form)
        splits.write(once, Cache(once).entries())
    main = "from lungscan.commands import main; main()"
    command = [sys.executable, "-c", main, "prepare", str(dataset), "--cache", str(cache), *["--compress"] * compress]
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        assert stopped_at_work(command, cache, how) == code
        assert not all(Cache(cache).has(job.name) for job in jobs)
    (cache / ".split.json.x1.lungscan").write_bytes(b"{")
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert contents(cache) == contents(once if compress else whole)


def stopped_at_work(command: list[str], cache: Path, how: signal.Signals) -> int:
    """The exit code of a run that gets a signal when it begins a first file; its workers end by themselves."""
    there = set(cache.glob("*/*"))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        until(lambda: bool(set(cache.glob("*/*")) - there) or run.poll() is not None)
        workers = children(run.pid)
        run.send_signal(how)
    assert len(workers) >= 2
    until(lambda: not any(map(alive, workers)))
    return run.returncode


def until(true: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_compressed_cache_holds_the_same(dataset: Path, whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("blosc2")
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(tmp_path), "--compress"])
    assert done.exit_code == 0, done.output
    plain, small = Cache(whole), Cache(tmp_path)
    assert small.entries() == plain.entries()
    for entry in plain.entries():
        for a, b in zip(plain.maps(entry), small.maps(entry), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    size = [sum(len(data) for data in contents(folder).values()) for folder in (tmp_path, whole)]
    assert size[0] < 0.4 * size[1]


def test_the_truth_of_the_tables_is_in_the_index(dataset: Path, whole: Path) -> None:
    """Places and ratings of annotations_with_malignancy, decoys of candidates' class 0, read here by `csv` alone."""

    def rows(table: str) -> list[dict[str, str]]:
        with (dataset / table).open(newline="") as file:
            return list(csv.DictReader(file))

    def place(row: dict[str, str]) -> tuple[float, ...]:
        return tuple(float(row[f"coord{axis}"]) for axis in "XYZ")

    nodules = {n.centre_xyz_mm: n for entry in Cache(whole).entries() for n in entry.nodules}
    rated = rows("annotations_with_malignancy.csv")
    assert {place(r): r["mal_details"] for r in rated} == {p: str(list(n.ratings)) for p, n in nodules.items()}
    decoys = {p for entry in Cache(whole).entries() for p in entry.decoys_xyz_mm}
    assert decoys == {place(r) for r in rows("candidates.csv") if r["class"] == "0"}
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(whole)])
    malignant = Counter(r["mal_bool"] for r in rated)
    said = f"two-of-four: {malignant['True']} malignant, {malignant['False']} benign, 0 unrated or left out"
    assert said in done.output


def test_the_card_names_the_grid_and_a_cache_has_one(dataset: Path, whole: Path, tmp_path: Path) -> None:
    card = small_card()
    other = replace(card, input=replace(card.input, spacing_irc_mm=(3.0, 2.0, 2.0)))
    for name, which in (("own", card), ("other", other)):
        weights.save(tmp_path / name, which, random_networks(which))
    (job, _) = find_jobs(dataset)
    prepare_one(job, tmp_path / "cache", Form.of(other))
    (entry,) = Cache(tmp_path / "cache").entries()
    assert entry.spacing_irc_mm == (3.0, 2.0, 2.0)
    for cache, which, said in (
        (whole, "other", re.escape("(2.0, 1.25, 1.25)")),
        (tmp_path / "new", "own", "own grid"),
    ):
        arguments = ["prepare", str(dataset), "--cache", str(cache), "--weights", str(tmp_path / which)]
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, InputRefused | UsageError)
        assert re.search(said, str(done.exception))


@pytest.mark.parametrize(
    ("missing", "options", "said"),
    [
        ("cupy", ["--device", "cuda"], "needs CuPy"),
        ("blosc2", ["--compress"], "needs blosc2"),
        ("PIL", ["--preview", "sheets"], "needs pillow"),
    ],
)
def test_what_is_not_installed_is_said_before_the_long_work(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, options: list[str], said: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(tmp_path / "cache"), *options])
    assert isinstance(done.exception, EngineUnavailable)
    assert said in str(done.exception)
    assert "pip install 'lungscan-ct[" in str(done.exception)
    assert not (tmp_path / "cache").exists()


def test_a_bad_scan_is_a_line_and_not_the_end(dataset: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(whole, tmp_path / "cache")
    (tmp_path / "data" / "subset0" / "9.9.mhd").write_text("NDims = 3\n")
    done = CliRunner().invoke(app, ["prepare", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")])
    assert done.exit_code == 0
    assert "skipped 9.9: " in done.output
    assert contents(tmp_path / "cache") == contents(whole)


def test_nothing_to_prepare_is_refused(tmp_path: Path) -> None:
    (tmp_path / "subset0").mkdir()
    (tmp_path / "subset0" / "9.9.mhd").write_text("NDims = 3\n")
    with pytest.raises(InputRefused, match="holds no data set"):
        find_jobs(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        find_jobs(tmp_path / "nowhere")
    (tmp_path / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    done = CliRunner().invoke(app, ["prepare", str(tmp_path), "--cache", str(tmp_path / "cache")])
    assert isinstance(done.exception, InputRefused)
    assert done.exception.exit_code == 3
