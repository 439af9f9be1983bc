"""A data set → the cache, whole, in parts, and with scans that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungscan.commands import app
from lungscan.errors import InputRefused, UsageError
from lungscan.phantom import write_dataset
from lungscan.training import splits
from lungscan.training.cache import Cache
from lungscan.training.prepare import find_jobs, prepare_one, shipped_spacing


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
        assert entry.spacing_irc_mm == shipped_spacing()
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
    prepare_one(second, tmp_path, shipped_spacing())
    (tmp_path / first.name).mkdir()
    (tmp_path / first.name / "hu.npy").write_bytes(b"half")
    (tmp_path / first.name / ".label.npy.x1").write_bytes(b"")
    done = CliRunner().invoke(app, ["prepare", str(dataset), "--cache", str(tmp_path)])
    assert "1 scans prepared, 2 in the cache" in done.output
    assert contents(tmp_path) == contents(whole)


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
