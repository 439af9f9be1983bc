"""Memory of whole commands, each in a process of its own, whose peak the system tells as it ends."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from lungscan.phantom import make_chest
from lungscan.volume import Volume
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process's peak in /proc"),
]

BESIDE_BYTES = 600_000_000
"""What a scan may take beside three times its volume in int16."""

_RUN = """
import re, sys
from pathlib import Path
from lungscan.commands import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()).group(1), file=sys.stderr)
"""


def run(*words: str | Path) -> tuple[int, str, list[str], int]:
    """Exit code, what it printed and told of `lungscan` with these words, and its peak in bytes."""
    command = [sys.executable, "-c", _RUN, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    *told, peak_kib = ended.stderr.splitlines()
    return ended.returncode, ended.stdout, told, 1024 * int(peak_kib)


@pytest.fixture(scope="module")
def chest() -> Volume:
    return make_chest(7, spacing_irc_mm=(2.0, 0.7, 0.7)).volume


@pytest.fixture(scope="module")
def scan(chest: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """139 slices of 515 x 515."""
    path = tmp_path_factory.mktemp("scan") / "chest.mhd"
    return written(chest.hu, (0.7, 0.7, 2.0), path)


def written(hu: np.ndarray, spacing_xyz_mm: tuple[float, float, float], path: Path) -> Path:
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(spacing_xyz_mm)
    sitk.WriteImage(image, str(path))
    return path


def told_of(report: str) -> dict[str, Any]:
    """All but when it was made and what it took."""
    return {key: value for key, value in json.loads(report).items() if key not in ("created", "timing_s")}


def test_a_long_scan_stays_under_three_volumes_and_600_mb(chest: Volume, tmp_path: Path) -> None:
    hu = np.repeat(chest.hu, 4, axis=0)
    path = written(hu, (0.7, 0.7, 0.5), tmp_path / "long.mhd")
    code, report, _, peak = run("scan", path, "--json", "--quiet")
    assert code == 0
    assert json.loads(report)["nodules"]
    assert hu.nbytes < peak < 3 * hu.nbytes + BESIDE_BYTES


def test_a_bound_is_kept_and_changes_nothing_that_is_told(scan: Path) -> None:
    """Between what the widest portions take and the least: the same nodules, in less memory."""
    code, report, _, peak = run("scan", scan, "--json", "--quiet", "--precision", "fp32")
    assert code == 0
    bound = 470_000_000
    code, narrow, told, less = run("scan", scan, "--json", "--quiet", "--precision", "fp32", "--max-memory", str(bound))
    assert (code, told) == (0, [])
    assert less < bound
    assert less < peak
    assert told_of(narrow) == told_of(report)


def test_too_small_a_bound_is_refused_before_the_long_work(scan: Path) -> None:
    start = time.monotonic()
    code, _, told, peak = run("scan", scan, "--quiet", "--max-memory", "300MB")
    assert code == 3
    assert len(told) == 1
    assert "--max-memory allows" in told[0]
    assert peak < 300_000_000
    assert time.monotonic() - start < 10


def mhd(path: Path) -> Path:
    path.with_suffix(".raw").write_bytes(bytes(1000))
    path.with_suffix(".mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 100000 100000 100000\nElementType = MET_SHORT\n"
        "ElementSpacing = 0.7 0.7 1\nElementDataFile = bomb.raw\n"
    )
    return path.with_suffix(".mhd")


def zipped_mhd(path: Path) -> Path:
    """Two gigabytes of zeros in two megabytes, half of what the header asks for."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(128)) + packer.flush()
    path.with_suffix(".zraw").write_bytes(packed)
    path.with_suffix(".mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 1024 1024 2048\nElementType = MET_SHORT\nCompressedData = True\n"
        f"CompressedDataSize = {len(packed)}\nElementSpacing = 0.7 0.7 1\nElementDataFile = bomb.zraw\n"
    )
    return path.with_suffix(".mhd")


def nifti(path: Path) -> Path:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 0.7, 0.7, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    path.with_suffix(".nii.gz").write_bytes(gzip.compress(bytes(header)))
    return path.with_suffix(".nii.gz")


def nrrd(path: Path) -> Path:
    path.with_suffix(".nrrd").write_bytes(
        b"NRRD0005\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 60000 60000 60000\n"
        b"space directions: (0.7,0,0) (0,0.7,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: gzip\nendian: little\n\n"
        + gzip.compress(bytes(10**6))
    )
    return path.with_suffix(".nrrd")


def bomb_zip(path: Path) -> Path:
    with (
        zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("1.dcm", "w", force_zip64=True) as member,
    ):
        for _ in range(128):
            member.write(bytes(2**24))
    return path.with_suffix(".zip")


@pytest.mark.parametrize("made", [mhd, zipped_mhd, nifti, nrrd, bomb_zip])
def test_a_bomb_costs_no_memory(made: Callable[[Path], Path], tmp_path: Path) -> None:
    path = made(tmp_path / "bomb")
    start = time.monotonic()
    code, _, told, peak = run("scan", path, "--quiet")
    assert code == 3, told
    assert len(told) == 1
    assert peak < BESIDE_BYTES
    assert time.monotonic() - start < 10
