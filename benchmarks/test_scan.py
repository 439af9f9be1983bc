"""A whole real scan with the book's networks against the plain way: needs the real scans, and minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from benchmarks import plain
from benchmarks.conftest import Compare
from lungscan import weights
from lungscan.pipeline import Networks, scan
from lungscan.settings import Settings
from tests.conftest import ROOT
from tests.test_book_parity import book_weights

__all__ = ["book_weights"]
pytestmark = pytest.mark.slow
SCAN = "LIDC-IDRI-0001"
Rows = list[tuple[tuple[float, ...], float]]


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scan's DICOM files, unpacked: the plain way reads no zip."""
    import zipfile

    out = tmp_path_factory.mktemp("dicom")
    with zipfile.ZipFile(data / "lidc" / f"{SCAN}.zip") as archive:
        for number, member in enumerate(m for m in archive.namelist() if m.lower().endswith(".dcm")):
            (out / f"{number}.dcm").write_bytes(archive.read(member))
    return out


def plain_scan(folder: Path, file: Path) -> Rows:
    unet, cnn = plain.modules(weights.load(file))
    reader = sitk.ImageSeriesReader()
    series = max((reader.GetGDCMSeriesFileNames(str(folder), uid) for uid in reader.GetGDCMSeriesIDs(str(folder))), key=len)
    reader.SetFileNames(series)
    hu = plain.clipped(sitk.GetArrayFromImage(reader.Execute()))
    heatmap = plain.segment(hu, unet)
    centres = plain.group(heatmap, hu)
    return list(zip(centres, plain.classify(hu, centres, cnn), strict=True))


@pytest.mark.parametrize(("gate", "floor"), [(False, 4), (True, 11)], ids=["everywhere", "lung gate"])
def test_scan_fp32(faster: Compare, folder: Path, book_weights: Path, gate: bool, floor: float) -> None:
    settings = Settings(weights=book_weights, precision="fp32", lung_gate=gate)

    def ours() -> Rows:
        return [(n.centre_irc, n.p_nodule) for n in scan(folder, settings).candidates.all]

    def same(found: Rows, expected: Rows) -> None:
        """Every candidate of ours is one of theirs; without the gate, nearly every one of theirs is one of ours."""
        matched = sum(
            any(max(abs(a - b) for a, b in zip(c, d, strict=True)) < 1 and abs(p - q) < 1e-3 for d, q in expected)
            for c, p in found
        )
        assert matched >= 0.99 * len(found) > 0
        if not gate:
            assert abs(len(found) - len(expected)) <= 3

    faster(ours, lambda: plain_scan(folder, book_weights), same=same, floor=floor, rounds=1)


def test_shipped_networks_start_up_included(faster: Compare, folder: Path, book_weights: Path) -> None:
    """The command from nothing to its report, against the plain way once its networks are loaded."""
    command = [sys.executable, "-m", "lungscan.commands", "scan", str(folder), "--json", "--quiet"]

    def ours() -> Rows:
        report = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
        return [(n["centre_irc"], n["p_nodule"]) for n in report["nodules"]]

    def same(found: Rows, expected: Rows) -> None:
        """The scan has one nodule, of 23 mm; both mark it."""
        centre, _ = max(found, key=lambda row: row[1])
        assert any(p > 0.5 and max(abs(a - b) for a, b in zip(centre, c, strict=True)) < 5 for c, p in expected)

    faster(ours, lambda: plain_scan(folder, book_weights), same=same, floor=25, rounds=1)


def test_loading_the_networks(benchmark: object, book_weights: Path) -> None:
    benchmark(lambda: Networks.open(Settings(weights=book_weights)))  # type: ignore[operator]


def test_memory(folder: Path, book_weights: Path) -> None:
    """Peak resident memory of a whole scan: under three times the int16 volume and 600 MB."""
    code = """
import sys
from pathlib import Path
from lungscan.pipeline import scan
from lungscan.settings import Settings

r = scan(sys.argv[1], Settings(weights=Path(sys.argv[2]), lung_gate=sys.argv[3] == "gate"))
peak_kb = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
i, rows, columns = r.input.shape_irc
print(int(peak_kb) / 1024, 2 * i * rows * columns / 2**20)
"""
    for gate in ("gate", "none"):
        command = [sys.executable, "-c", code, str(folder), str(book_weights), gate]
        peak, volume = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        print(f"{gate}: peak {peak:.0f} MB, int16 volume {volume:.0f} MB")
        assert peak < 3 * volume + 600
