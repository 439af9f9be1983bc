"""Small good scans in every format and syntax that is read, each as a folder of which one file is damaged."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests.readers.files import chest_like, dicom_folder, image
from tests.readers.test_dicom_kinds import enhanced


@dataclass(frozen=True)
class Seed:
    """What is read (`scan`), the file in it that is damaged (`target`), and how far its header reaches."""

    name: str
    scan: Path
    target: Path
    reach: int


def transferred(syntax: str) -> object:
    def edit(ds: Dataset, _: int) -> None:
        if syntax in (RLELossless, JPEGLSLossless):
            ds.compress(syntax)
            return
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    return edit


SYNTAXES = {
    "explicit": None,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
}


def seeds(folder: Path) -> list[Seed]:
    """Written below `folder`."""
    hu = chest_like()[:16]
    out = []
    for name, syntax in SYNTAXES.items():
        scan = dicom_folder(folder / name, hu, None if syntax is None else transferred(syntax))  # type: ignore[arg-type]
        out.append(Seed(name, scan, sorted(scan.iterdir())[4], 1400))
    (folder / "enhanced").mkdir()
    whole = enhanced(folder / "enhanced" / "all.dcm", hu)
    shutil.rmtree(folder / "single", ignore_errors=True)
    out.append(Seed("enhanced", whole.parent, whole, 9000))
    with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((folder / "explicit").iterdir()):
            archive.write(file, file.name)
    out.append(Seed("zip", folder / "scan.zip", folder / "scan.zip", 2000))
    for name, compressed in (("a.mha", False), ("b.mhd", True), ("c.nii", False), ("d.nii.gz", True), ("e.nrrd", False)):
        path = folder / name[0] / name
        path.parent.mkdir()
        sitk.WriteImage(image(hu), str(path), compressed)
        out.append(Seed(name, path, path, 352 if ".nii" in name else 600))
        if name == "b.mhd":
            out.append(Seed("b.zraw", path, path.with_suffix(".zraw"), 4000))
    path = folder / "f" / "f.nhdr"
    path.parent.mkdir()
    sitk.WriteImage(image(hu), str(path), True)
    out.append(Seed("f.nhdr", path, path, 600))
    return out
