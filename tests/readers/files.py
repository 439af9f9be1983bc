"""Small scans as files, written by pydicom, SimpleITK, nibabel and pynrrd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from lungscan.volume import Grid

SHAPE = (20, 160, 150)
SPACING_IRC = (5.0, 1.4, 1.35)
SERIES = "1.2.826.0.1.3680043.8.498.1"


def chest_like(seed: int = 0) -> np.ndarray:
    """Air around, tissue within, lung in the middle: HU that pass for a CT, each voxel its own."""
    i, r, c = np.indices(SHAPE)
    inside = ((r - 80) / 70) ** 2 + ((c - 75) / 65) ** 2 < 1
    lung = ((r - 80) / 40) ** 2 + ((c - 75) / 45) ** 2 < 1
    base = np.where(lung, -850, np.where(inside, 40, -1000))
    return (base + np.random.default_rng(seed).integers(-20, 21, SHAPE) + i // 4).astype(np.int16)


def image(hu: np.ndarray, direction: np.ndarray | None = None) -> sitk.Image:
    out = sitk.GetImageFromArray(np.ascontiguousarray(hu))
    out.SetSpacing(SPACING_IRC[::-1])
    out.SetOrigin((-100.5, -90.25, 30.125))
    if direction is not None:
        out.SetDirection(np.asarray(direction, float).ravel().tolist())
    return out


def same_place(grid: Grid, reference: sitk.Image, atol: float = 1e-3) -> None:
    """Both put the corners and a voxel inside at the same patient millimetres."""
    n = np.array(grid.shape) - 1
    for irc in ([0, 0, 0], n, [n[0], 0, 0], [0, n[1], 0], [0, 0, n[2]], [3, 5, 7]):
        there = reference.TransformContinuousIndexToPhysicalPoint([float(k) for k in irc[::-1]])
        np.testing.assert_allclose(grid.xyz(irc), there, atol=atol)


Edit = Callable[[Dataset, int], None]


def dicom_folder(
    folder: Path, hu: np.ndarray, edit: Edit | None = None, axes: np.ndarray | None = None, series: str = SERIES
) -> Path:
    """A folder of CT slices: unsigned 16 bits, intercept -1024, names in no order. `edit(dataset, k)` changes each one."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.eye(3) if axes is None else axes
    for k, plane in enumerate(hu):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{series}.{k + 1}"
        ds.Modality, ds.PatientID, ds.PatientName, ds.ImageType = "CT", "id", "Secret^Name", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, "1.2.3", "1.2.3.4"
        ds.ConvolutionKernel, ds.InstanceNumber, ds.AcquisitionNumber, ds.SliceThickness = "B30f", len(hu) - k, 1, 5
        ds.ImageOrientationPatient = [f"{v:.9f}" for v in np.concatenate([axes[:, 0], axes[:, 1]])]
        ds.ImagePositionPatient = [f"{v:.6f}" for v in np.array([-100.5, -90.25, 30.125]) + axes[:, 2] * SPACING_IRC[0] * k]
        ds.PixelSpacing = [SPACING_IRC[1], SPACING_IRC[2]]
        ds.Rows, ds.Columns = plane.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        ds["PixelData"].VR = "OW"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        if edit is not None:
            edit(ds, k)
        if "skip" not in ds.get("ImageComments", ""):
            pydicom.dcmwrite(folder / f"{(k * 7919) % 1000:03d}.img", ds, enforce_file_format=True)
    return folder


def sitk_series(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()
