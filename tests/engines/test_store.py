"""Engines kept in the user's cache: what fits its sidecar is used, anything else counts as absent."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from lungscan.engines import store

from lungscan.errors import EngineUnavailable

KEY = store.Key("plan", "segmentation", "a" * 64, "fp16", "tensorrt_rtx 1.7", "sm_120", "1x7x16x16")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lungscan" / "engines"


def test_what_was_kept_comes_back(home: Path) -> None:
    entry = store.Entry({".plan": b"plan", ".bin": bytes(1000)}, {"verified": "on a phantom"})
    assert store.load(KEY) is None
    assert set(store.save(KEY, entry)) == {home / f"{KEY.stem}{suffix}" for suffix in entry.files}
    assert store.load(KEY) == entry


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_folder_is_its_owner_s_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        store.save(KEY, store.Entry({".plan": b"plan"}))
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o777, 0o720])
@pytest.mark.parametrize("folder", [".", ".."])
def test_nothing_is_loaded_from_a_folder_that_others_write_to(home: Path, mode: int, folder: str) -> None:
    store.save(KEY, store.Entry({".plan": b"plan"}))
    (home / folder).chmod(mode)
    with pytest.raises(EngineUnavailable, match="chmod 700"):
        store.load(KEY)


@pytest.mark.parametrize("field", ["graph", "precision", "runtime", "target", "profile", "kind", "network"])
def test_each_part_of_the_key_counts(field: str) -> None:
    store.save(KEY, store.Entry({".plan": b"plan"}))
    assert store.load(replace(KEY, **{field: "another"})) is None


def test_a_changed_or_truncated_file_counts_as_absent() -> None:
    (path,) = store.save(KEY, store.Entry({".plan": b"plan"}))
    for content in (b"plam", b"pla", b""):
        path.write_bytes(content)
        assert store.load(KEY) is None
    path.unlink()
    assert store.load(KEY) is None


def test_a_sidecar_of_another_engine_does_not_serve(home: Path) -> None:
    """The file was renamed: its key is not the one asked for."""
    other = replace(KEY, target="sm_86")
    store.save(KEY, store.Entry({".plan": b"plan"}))
    for suffix in (".plan", ".json"):
        (home / f"{KEY.stem}{suffix}").rename(home / f"{other.stem}{suffix}")
    assert store.load(other) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": [], "key": 1}', "\x00"])
def test_a_damaged_sidecar_counts_as_absent(home: Path, text: str) -> None:
    store.save(KEY, store.Entry({".plan": b"plan"}))
    (home / f"{KEY.stem}.json").write_text(text)
    assert store.load(KEY) is None


def test_a_sidecar_reaches_no_file_of_another_folder(home: Path, tmp_path: Path) -> None:
    store.save(KEY, store.Entry({".plan": b"plan"}))
    (tmp_path / "secret").write_bytes(b"secret")
    sidecar = home / f"{KEY.stem}.json"
    told = json.loads(sidecar.read_text())
    told["sha256"] = {"/../../secret": store.digest(b"secret")}
    sidecar.write_text(json.dumps(told))
    assert store.load(KEY) is None


def test_what_is_forgotten_is_gone(home: Path) -> None:
    store.save(KEY, store.Entry({".plan": b"plan"}))
    store.remove(KEY)
    assert list(home.iterdir()) == []


def test_compiled_networks_are_kept_up_to_a_number(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_COMPILED", 3)
    store.save(KEY, store.Entry({".plan": b"plan"}))
    keys = [replace(KEY, kind="compiled", graph=str(k)) for k in range(5)]
    for k, key in enumerate(keys):
        for path in [*store.save(key, store.Entry({".blob": b"blob"})), home / f"{key.stem}.json"]:
            os.utime(path, (k, k))
    store.save(replace(KEY, kind="compiled", graph="last"), store.Entry({".blob": b"blob"}))
    assert [store.load(key) is not None for key in keys] == [False, False, False, True, True]
    assert store.load(KEY) is not None


def test_where_nothing_can_be_kept_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineUnavailable, match="cannot be kept"):
        store.save(KEY, store.Entry({".plan": b"plan"}))
