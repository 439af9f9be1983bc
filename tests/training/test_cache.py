"""The training cache: what is written comes back, in either form, and what is damaged is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lungscan.errors import EngineUnavailable, InputRefused
from lungscan.training.cache import Cache, Entry, Nodule
from tests.conftest import ROOT

SHAPE = (40, 21, 30)
ENTRY = Entry(
    name="a",
    patient="p",
    series="0" * 16,
    spacing_irc_mm=(2.0, 1.25, 1.25),
    origin_xyz_mm=(-10.0, 5.5, 7.0),
    direction=((1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.0, 0.6, 0.8)),
    shape=SHAPE,
    nodules=(Nodule((1.0, 2.0, 3.0), 8.5, (4, 5)), Nodule((4.0, 5.0, 6.0), 3.0)),
    ignored=(Nodule((7.0, 8.0, 9.0), 10.0),),
    decoys_xyz_mm=((0.5, 1.5, 2.5), (3.5, 4.5, 5.5)),
)


def maps(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1024, 3071, SHAPE).astype(np.int16)
    return hu, rng.random(SHAPE) < 0.5, rng.integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture(params=[False, True], ids=["npy", "blosc2"])
def compress(request: pytest.FixtureRequest) -> bool:
    if request.param:
        pytest.importorskip("blosc2")
    return bool(request.param)


def test_what_is_written_comes_back(tmp_path: Path, compress: bool) -> None:
    Cache(tmp_path, compress=compress).write(ENTRY, *maps())
    cache = Cache(tmp_path)
    assert cache.entries() == [ENTRY]
    for read, written in zip(cache.maps(ENTRY), maps(), strict=True):
        np.testing.assert_array_equal(read, written)
        assert read.dtype == written.dtype
        assert not read.flags.writeable
    np.testing.assert_array_equal(cache.volume(ENTRY).hu, maps()[0])
    assert cache.gate(ENTRY).mask.sum() == maps()[1].sum()


def test_the_same_scan_gives_the_same_bytes_in_any_process(tmp_path: Path, compress: bool) -> None:
    Cache(tmp_path / "here", compress=compress).write(ENTRY, *maps())
    code = f"""
import sys
from pathlib import Path
from tests.training.test_cache import ENTRY, Cache, maps

Cache(Path(sys.argv[1]), compress={compress}).write(ENTRY, *maps())
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, cwd=ROOT)
    for file in (tmp_path / "here" / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "there" / "a" / file.name).read_bytes()


def test_a_scan_made_again_replaces_all_that_was_there(tmp_path: Path) -> None:
    pytest.importorskip("blosc2")
    Cache(tmp_path, compress=True).write(ENTRY, *maps(1))
    (tmp_path / "a" / ".hu.npy.x1.lungscan").write_bytes(b"half")
    Cache(tmp_path).write(ENTRY, *maps(2))
    assert {f.name for f in (tmp_path / "a").iterdir()} == {"hu.npy", "lungs.npy", "label.npy", "entry.json"}
    np.testing.assert_array_equal(Cache(tmp_path).maps(ENTRY)[0], maps(2)[0])


def test_a_compressed_cache_without_blosc2_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("blosc2")
    Cache(tmp_path, compress=True).write(ENTRY, *maps())
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(EngineUnavailable, match="pip install"):
        Cache(tmp_path).maps(ENTRY)


def test_an_index_of_before_the_decoys_is_read(tmp_path: Path) -> None:
    Cache(tmp_path).write(ENTRY, *maps())
    index = tmp_path / "a" / "entry.json"
    raw = json.loads(index.read_text())
    del raw["decoys_xyz_mm"]
    index.write_text(json.dumps(raw))
    assert Cache(tmp_path).entries()[0].decoys_xyz_mm == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "a"}', '{"nodules": [], "ignored": [], "direction": 3}'])
def test_an_index_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputRefused, match="no training cache"):
        Cache(tmp_path).entries()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "entry.json").write_text(text)
    with pytest.raises(InputRefused, match="not an entry"):
        Cache(tmp_path).entries()


def test_maps_of_another_shape_are_a_mistake(tmp_path: Path) -> None:
    hu, lungs, label = maps()
    with pytest.raises(ValueError, match="label of a"):
        Cache(tmp_path).write(ENTRY, hu, lungs, label[1:])
    assert not (tmp_path / "a").exists()
