"""A slab of a phantom's right lung with three nodules in it, small enough for a scan in half a second, and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from lungscan.findings import Report
from lungscan.phantom import make_chest
from lungscan.report.json import to_json
from tests.readers.files import Edit, dicom_folder

SLAB = np.s_[24:42, 32:212, 0:140]
SPACING_IRC_MM = (5.0, 1.45, 1.45)
OBLIQUE = Rotation.from_euler("xyz", [3, -2, 4], degrees=True).as_matrix()
"""No axis is a patient's: formats that round directions would show."""


def chest() -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(make_chest(7, spacing_irc_mm=SPACING_IRC_MM).volume.hu[SLAB]))
    image.SetSpacing(SPACING_IRC_MM[::-1])
    image.SetOrigin((-175.0, -139.25, -10.5))
    image.SetDirection(OBLIQUE.ravel().tolist())
    return image


def written(image: sitk.Image, folder: Path, suffix: str, edit: Edit | None = None) -> Path:
    """As the format of the suffix by SimpleITK, or without one as a folder of DICOM slices by pydicom, each one edited."""
    if suffix:
        sitk.WriteImage(image, str(folder / f"chest{suffix}"))
        return folder / f"chest{suffix}"

    def placed(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [f"{mm:.6f}" for mm in image.TransformIndexToPhysicalPoint((0, 0, k))]
        ds.PixelSpacing = list(image.GetSpacing()[1::-1])
        if edit is not None:
            edit(ds, k)

    return dicom_folder(folder / "chest", sitk.GetArrayFromImage(image), placed, np.reshape(image.GetDirection(), (3, 3)))


def text(report: Report, path: str | None = None) -> str:
    """The report as it is written, without times; with `path` in place of its input's."""
    facts = report.input if path is None else replace(report.input, path=path)
    return to_json(replace(report, created="", timing_s={}, input=facts), all_candidates=True)
