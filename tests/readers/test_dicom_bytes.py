"""DICOM files as bytes: syntaxes, cut and foreign files, what nests too deep, and the child that codecs run in."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from lungscan.errors import InputRefused
from lungscan.readers import apart, inspect, read
from tests.readers.files import chest_like, dicom_folder
from tests.readers.test_dicom_places import always

HU = chest_like()


def packed(syntax: str, **tags: object) -> Any:
    def edit(ds: Dataset, k: int) -> None:
        always(**tags)(ds, k)
        ds.compress(syntax, **({"jls_error": 3} if syntax == JPEGLSNearLossless else {}))

    return edit


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_ls_gives_the_same_voxels(tmp_path: Path, signed: bool) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if signed:
            ds.PixelRepresentation, ds.RescaleIntercept, ds.PixelData = 1, 0, HU[k].tobytes()
        ds.compress(JPEGLSLossless)

    volume = read(dicom_folder(tmp_path / "ct", HU, edit))
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.notices == ()


def test_near_lossless_pixels_are_read_with_a_notice_that_no_tag_gives(tmp_path: Path) -> None:
    volume = read(dicom_folder(tmp_path / "ct", HU, packed(JPEGLSNearLossless, LossyImageCompression="00")))
    assert {n.code for n in volume.notices} == {"lossy"}
    assert np.abs(volume.hu.astype(int) - HU).max() <= 3


@pytest.mark.parametrize(("what", "keep"), [("rows", 150), ("rows", 0), ("columns", 151), ("rows", 60_000)])
def test_a_size_that_is_not_that_of_the_pixels(tmp_path: Path, what: str, keep: int) -> None:
    with pytest.raises(InputRefused, match=r"bytes of pixels|gives its size|more than a scanner"):
        read(dicom_folder(tmp_path / "ct", HU, always(**{what.title(): keep})))


def test_bytes_after_the_pixels_are_passed_over(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes() + bytes(100))
    np.testing.assert_array_equal(read(folder).hu, HU)


def test_what_only_looks_like_dicom_is_passed_over(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    (folder / "LICENSE.dcm").write_text("Apache License\n" * 99)
    (folder / "zero.dcm").write_bytes(bytes(200))
    (folder / "group8.dcm").write_bytes(b"\x08\x00\x05\x00" + bytes(60))
    volume = read(folder)
    np.testing.assert_array_equal(volume.hu, HU)
    assert [n.code for n in volume.notices] == ["other-files"]


def test_numbers_of_unknown_type_are_numbers(tmp_path: Path) -> None:
    """Rows, columns and padding as UN, as old archives write them."""
    folder = dicom_folder(tmp_path / "ct", HU, lambda ds, _: ds.add_new("PixelPaddingValue", "US", 0))
    for file in folder.iterdir():
        data = file.read_bytes()
        for tag in ((0x28, 0x10), (0x28, 0x11), (0x28, 0x120)):
            known = struct.pack("<HH2sH", *tag, b"US", 2)
            assert data.count(known) == 1
            data = data.replace(known, struct.pack("<HH2sHI", *tag, b"UN", 0, 2))
        file.write_bytes(data)
    np.testing.assert_array_equal(read(folder).hu, HU)


@pytest.mark.parametrize("depth", [40, 400, 3000])
def test_sequences_nested_deeper_than_any_scanner_s(tmp_path: Path, depth: int) -> None:
    folder = dicom_folder(tmp_path / "ct", HU)
    file = sorted(folder.iterdir())[3]
    data = file.read_bytes()
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    sequence = struct.pack("<HH2sHI", 8, 0x1110, b"SQ", 0, 0xFFFFFFFF) + item
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    at = data.index(struct.pack("<HH2s", 0x10, 0x10, b"PN"))
    file.write_bytes(data[:at] + sequence * depth + ends * depth + data[at:])
    try:
        volume = read(folder)
    except InputRefused:  # where Python's stack ends, or the slice is passed over and missed
        return
    np.testing.assert_array_equal(volume.hu, HU)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("seed", range(4))
def test_damaged_codestreams_are_refused_or_leave_the_other_slices_alone(tmp_path: Path, syntax: str, seed: int) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, packed(syntax))
    file = sorted(folder.iterdir())[5]
    data = bytearray(file.read_bytes())
    rng = np.random.default_rng(seed)
    start = data.index(b"\xe0\x7f\x10\x00")
    for at in rng.integers(start + 40, start + 200, 8):
        data[at] = rng.integers(256)
    file.write_bytes(data)
    try:
        volume = read(folder)
    except InputRefused:
        return
    assert np.count_nonzero((volume.hu != HU).any(axis=(1, 2))) <= 1


def test_a_codestream_of_another_size_than_the_tags(tmp_path: Path) -> None:
    """JPEG-LS decoders may write past the end of what they were given and abort: the child does, not this process."""

    def edit(ds: Dataset, _: int) -> None:
        ds.compress(JPEGLSLossless)
        ds.Rows = 161

    with pytest.raises(InputRefused, match=r"cannot be deco"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def rle_bomb(rows: int) -> bytes:
    """Rows x 65535 zeros in 16 bits, packed 64 to 1: PackBits repeats 128 times at the most."""
    runs = b"\x81\x00" * (rows * 65535 // 128 + 1)
    segment = struct.pack("<16I", 2, 64, 64 + len(runs), *[0] * 13) + runs + runs
    return pydicom.encaps.encapsulate([segment + b"\0" * (len(segment) % 2)])


def test_a_bomb_in_a_codec_costs_its_child_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that are placed rightly but unpack to half a gigabyte where the child may have a quarter."""
    monkeypatch.setattr(apart, "BYTES", 2**28)
    one = apart.Child()
    ds = pydicom.dcmread(next(dicom_folder(tmp_path / "ct", HU[:1], packed(RLELossless)).iterdir()))
    ds.Rows, ds.Columns, ds.PixelData = 4096, 65535, rle_bomb(4096)
    ds.save_as(tmp_path / "bomb.dcm")
    question = {"task": "decode", "frames": 1, "rows": 4096, "columns": 65535}
    try:
        with pytest.raises(InputRefused, match=r"cannot be deco"):
            one.ask("bomb.dcm", question, (tmp_path / "bomb.dcm").read_bytes(), 2 * 4096 * 65535)
    finally:
        one.close()


def first_question(signum: int | None, seconds: float) -> str:
    """What the parent says when its child is stopped or killed while it should answer."""
    child = apart.Child()
    process = child.start()
    os.kill(process.pid, signal.SIGSTOP)
    if signum is not None:
        threading.Timer(0.3, os.kill, (process.pid, signum)).start()
    start = time.monotonic()
    with pytest.raises(InputRefused) as refused:
        child.ask("x.dcm", {"task": "parse", "bare": False}, b"\0" * 500)
    assert time.monotonic() - start < seconds
    assert process.poll() is not None
    return str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals")
def test_a_child_that_crashes_refuses_its_file() -> None:
    """A crash in a decoder is a signal to its process."""
    assert "crashed (signal 9)" in first_question(signal.SIGKILL, 5)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals")
def test_a_child_that_hangs_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "START_SECONDS", 0.4)
    assert "took longer than" in first_question(None, 5)


def test_after_a_crash_the_next_file_is_read(tmp_path: Path) -> None:
    folder = dicom_folder(tmp_path / "ct", HU, packed(RLELossless))
    with apart.at_hand():
        apart.child().start().kill()
        (facts,) = inspect(folder)
        assert "crashed" in (facts.refusal or "")
        np.testing.assert_array_equal(read(folder).hu, HU)


def test_no_child_outlives_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[subprocess.Popen[bytes]] = []
    started = apart.Child.start

    def start(self: apart.Child) -> subprocess.Popen[bytes]:
        made.append(started(self))
        return made[-1]

    monkeypatch.setattr(apart.Child, "start", start)
    read(dicom_folder(tmp_path / "ct", HU, packed(RLELossless)))
    assert len({process.pid for process in made}) == 1
    for process in made:
        process.wait(timeout=10)


def test_a_child_cannot_write_a_file(tmp_path: Path) -> None:
    """Its limit on file sizes is 0: the first byte is refused (RLIMIT_FSIZE), and no core is dumped."""
    code = (
        f"from lungscan.readers.apart_child import _confine; _confine({2**30}); open(r'{tmp_path}/x', 'w').write('x' * 9999)"
    )
    ended = subprocess.run([os.sys.executable, "-c", code], capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode != 0
    assert (tmp_path / "x").stat().st_size == 0


def test_jpeg_2000_of_simpleitk(tmp_path: Path) -> None:
    """Written by GDCM through SimpleITK, each slice with the tags of ours."""
    import SimpleITK as sitk

    folder = dicom_folder(tmp_path / "ct", HU)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    for file in sorted(folder.iterdir()):
        read_back = sitk.ReadImage(str(file), imageIO="GDCMImageIO")
        plane = sitk.Cast(read_back, sitk.sitkInt16)
        for key in read_back.GetMetaDataKeys():
            plane.SetMetaData(key, read_back.GetMetaData(key))
        writer.SetFileName(str(file.with_suffix(".dcm")))
        writer.Execute(plane)
        file.unlink()
    syntaxes = {pydicom.dcmread(f, stop_before_pixels=True).file_meta.TransferSyntaxUID for f in folder.iterdir()}
    assert syntaxes == {JPEG2000Lossless}
    np.testing.assert_array_equal(read(folder).hu, HU)
