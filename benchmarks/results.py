"""Results that are kept: benchmarks/results/<machine>.json, and what a ratio must still reach beside them.

A ratio is of two times of one run, so it holds for every machine of a kind, however busy. The kind is the CPU's name, its
cores and the vectors that it has, or the GPU's name; no host is named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lungscan import __version__, checkup

FOLDER = Path(__file__).with_name("results")

ALLOWED = 0.15
"""How far a ratio may fall under the committed one. Ratios move by a tenth on machines that others share."""

PACKAGES = ("openvino", "onnxruntime", "torch", "numpy", "scipy", "SimpleITK", "pydicom")
GPU_PACKAGES = (*PACKAGES, "triton", "cupy-cuda13x", "cucim-cu13", "bkeccl", "tensorrt-rtx", "tensorrt")


@dataclass(frozen=True)
class Measured:
    """One comparison: `ratio` is how many times faster than the other way ours was, in one run."""

    name: str
    against: str
    ratio: float
    ours_ms: float
    theirs_ms: float
    floor: float | None = None  # the least ratio where nothing is committed
    times_floor: float | None = None  # our time over that of the bytes that must move

    @property
    def key(self) -> str:
        return f"{self.name} against {self.against}"


@dataclass(frozen=True)
class Kind:
    """A kind of machine. `file` is where its results lie."""

    name: str
    facts: Mapping[str, str]
    packages: tuple[str, ...]

    @property
    def file(self) -> Path:
        return FOLDER / f"{re.sub('[^a-z0-9]+', '-', self.name.lower()).strip('-')}.json"


def this_cpu() -> Kind:
    vectors = _vectors()
    name = ", ".join([checkup.cpu(), f"{os.cpu_count()} cores", *([vectors] if vectors else [])])
    return Kind(name, {}, PACKAGES)


def this_gpu() -> Kind | None:
    facts = checkup.gpu()
    return None if facts is None else Kind(facts["name"], facts, GPU_PACKAGES)


def _vectors() -> str:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return ""
    widest = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    matrix = next((name for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "bf16")) if flag in flags), "")
    return " ".join(filter(None, (widest, matrix)))


def committed(kind: Kind | None) -> dict[str, float]:
    """Ratios by key that were committed for this kind of machine; none where none were."""
    return {} if kind is None else {key: row["ratio"] for key, row in _rows(kind).items()}


def _rows(kind: Kind) -> dict[str, dict[str, float]]:
    return dict(json.loads(kind.file.read_text(encoding="utf-8"))["ratios"]) if kind.file.is_file() else {}


def least(key: str, floor: float | None, before: Mapping[str, float]) -> float | None:
    """What a ratio must reach: nearly what is committed, the floor where nothing is, nothing where there is neither."""
    return before[key] * (1 - ALLOWED) if key in before else floor


def document(kind: Kind, measured: Iterable[Measured], scans: Mapping[str, Mapping[str, float]]) -> str:
    """A results file: ratios, and figures of whole scans where there are any.

    Of a ratio that is there already the lower one stays, so that a lucky run sets no bar; delete the file to raise it.
    """
    rows = {m.key: {k: round(v, 3) for k, v in asdict(m).items() if isinstance(v, float) and k != "floor"} for m in measured}
    for key, row in _rows(kind).items():
        if key in rows and row["ratio"] < rows[key]["ratio"]:
            rows[key] = row
    told = {
        "machine": kind.name,
        **kind.facts,
        "lungscan": __version__,
        "versions": dict(_versions(kind.packages)),
        "what": "medians of interleaved rounds; ratio: their time over ours in one run, the lowest of the runs recorded; "
        "times_floor: ours over the time that its bytes take at memory's peak",
        "ratios": dict(sorted(rows.items())),
        **({"scans": scans} if scans else {}),
    }
    return json.dumps(told, indent=1) + "\n"


def _versions(packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def lines(measured: Iterable[Measured], before: Mapping[str, float]) -> Iterator[str]:
    """A table: every ratio beside what it must reach, those that fell short marked."""
    for m in measured:
        wanted = least(m.key, m.floor, before)
        said = "nothing to compare with" if wanted is None else f"least {wanted:.2f}"
        if m.key in before:
            said += f", committed {before[m.key]:.2f}"
        mark = "REGRESSED" if wanted is not None and m.ratio < wanted else ""
        floor = "" if m.times_floor is None else f"   {m.times_floor:6.1f} times its floor"
        yield (
            f"{m.key:58} theirs {m.theirs_ms:10.2f} ms   ours {m.ours_ms:9.2f} ms   {m.ratio:7.2f} times   ({said}){floor}"
            f" {mark}"
        ).rstrip()
