"""Engines that were built once: files in the user's own cache, each with a sidecar that says what it is and its hash.

An entry is used only when its key and its hashes are those asked for; anything else counts as absent and is built again.
The folder is made for its owner alone. One that others can write to is refused: a plan is code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lungscan.errors import EngineUnavailable
from lungscan.files import write_bytes, write_text

MOST_COMPILED = 32
"""Networks that are kept as the CPU's runtime compiled them. Each is a megabyte, and every weights file has three."""

OTHERS_WRITE = 0o022


@dataclass(frozen=True)
class Key:
    """What an engine depends on: change one, and it is another engine.

    kind      : "plan", "compiled" or "quantised"
    network   : name of the network
    graph     : SHA-256 of the ONNX that it was made from
    precision : type that it runs in
    runtime   : name and version of the library
    target    : GPU or CPU, threads included where the library plans with them
    profile   : shapes that it was made for, "" for any
    """

    kind: str
    network: str
    graph: str
    precision: str
    runtime: str
    target: str
    profile: str = ""

    @property
    def stem(self) -> str:
        """Name of the entry's files, without their suffixes."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.network}-{self.kind}-{digest[:32]}"


@dataclass(frozen=True)
class Entry:
    """Contents by file suffix, and facts for the sidecar (was it verified, against what)."""

    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)


def folder() -> Path:
    """$XDG_CACHE_HOME/lungscan/engines, or that of ~/.cache, made with mode 0700 where it is missing.

    Raises EngineUnavailable when it cannot be had, belongs to somebody else, or others can write to it.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    ours = (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "lungscan"
    for path in (ours, ours / "engines"):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = path.stat()
        except OSError as error:
            raise EngineUnavailable(f"engines cannot be kept in {path}: {error.strerror}.") from error
        if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & OTHERS_WRITE):
            raise EngineUnavailable(
                f"engines are not loaded from {path}, because others can write to it; make it yours alone: chmod 700 {path}."
            )
    return ours / "engines"


def load(key: Key) -> Entry | None:
    """The entry of this key, or None when there is none that fits its sidecar. Raises EngineUnavailable as `folder` does."""
    place = folder() / key.stem
    try:
        sidecar = json.loads(_beside(place, ".json").read_bytes())
        files = {suffix: _beside(place, suffix).read_bytes() for suffix in sidecar["sha256"]}
        fits = sidecar["key"] == asdict(key) and sidecar["sha256"] == _hashes(files)
        return Entry(files, dict(sidecar["facts"])) if fits else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(key: Key, entry: Entry) -> list[Path]:
    """Keep an entry, its sidecar last; returns its files. Raises EngineUnavailable when it cannot be written."""
    place = folder() / key.stem
    sidecar = {"key": asdict(key), "sha256": _hashes(entry.files), "facts": dict(entry.facts)}
    try:
        for suffix, content in entry.files.items():
            write_bytes(_beside(place, suffix), content)
        write_text(_beside(place, ".json"), json.dumps(sidecar, indent=1))
    except OSError as error:
        raise EngineUnavailable(f"{place.name} cannot be written into {place.parent}: {error.strerror}.") from error
    if key.kind == "compiled":
        _prune(place.parent)
    return paths(key, entry)


def paths(key: Key, entry: Entry) -> list[Path]:
    """Where an entry's files lie."""
    place = folder() / key.stem
    return [_beside(place, suffix) for suffix in entry.files]


def remove(key: Key) -> None:
    """Forget an entry, its sidecar first."""
    place = folder() / key.stem
    _beside(place, ".json").unlink(missing_ok=True)
    for path in place.parent.glob(f"{place.name}.*"):
        path.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _beside(place: Path, suffix: str) -> Path:
    return place.with_name(place.name + suffix)


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {suffix: digest(content) for suffix, content in files.items()}


def _prune(place: Path) -> None:
    """Let go of the compiled networks that are used least lately."""

    def age(sidecar: Path) -> float:
        return max(path.stat().st_atime for path in _entry(sidecar))

    sidecars = sorted(place.glob("*-compiled-*.json"), key=age, reverse=True)
    for sidecar in sidecars[MOST_COMPILED:]:
        for path in _entry(sidecar):
            path.unlink(missing_ok=True)


def _entry(sidecar: Path) -> Iterator[Path]:
    yield from sidecar.parent.glob(f"{sidecar.stem}.*")
