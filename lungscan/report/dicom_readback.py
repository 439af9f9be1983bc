"""DICOM objects as another program reads them: what they mark must lie where the nodules do, or they are not written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import pydicom
from pydicom import Dataset

from lungscan.errors import LungscanError
from lungscan.findings import Nodule
from lungscan.report.dicom_ellipse import PIXEL_CENTRE, largest_slice
from lungscan.report.dicom_source import Plane
from lungscan.stages.outline import NoduleMask
from lungscan.volume import Array, Grid

HALF_A_VOXEL = 0.5


def centroids_xyz_mm(data: bytes) -> dict[int, Array]:
    """Centroid of each segment of a SEG's bytes, by its number, from the file's own geometry alone.

    The pixel (row j, column i) of a frame lies at P + r * column_step * i + c * row_step * j (DICOM PS3.3, C.7.6.2.1.1).
    """
    seg = pydicom.dcmread(BytesIO(data))
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, np.float64)
    row_step, column_step = (float(mm) for mm in shared.PixelMeasuresSequence[0].PixelSpacing)
    places: dict[int, list[Array]] = defaultdict(list)
    for pixels, own in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        j, i = np.nonzero(pixels)
        corner = np.array(own.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        at = corner + np.outer(i * column_step, cosines[:3]) + np.outer(j * row_step, cosines[3:])
        places[int(own.SegmentIdentificationSequence[0].ReferencedSegmentNumber)].append(at)
    return {number: np.concatenate(parts).mean(axis=0) for number, parts in places.items()}


def check_places(data: bytes, masks: Sequence[NoduleMask], nodules: Sequence[Nodule], grid: Grid) -> None:
    """Raises LungscanError when a segment is missing, its centroid is half a voxel or more from its outline's, or further
    than the nodule's radius from the report's centre, which HU weigh and which so lies a little aside."""
    found = centroids_xyz_mm(data)
    for number, (mask, nodule) in enumerate(zip(masks, nodules, strict=True), 1):
        if number not in found:
            raise LungscanError(f"the DICOM SEG lacks nodule {mask.id} when read back; it was not written: report this.")
        _check(f"SEG places nodule {mask.id}", found[number], mask.centroid_irc(), grid)
        radius = nodule.diameter_mm / 2 / np.array(grid.spacing_irc_mm)
        _check(f"SEG places nodule {mask.id}", found[number], np.array(nodule.centre_irc), grid, HALF_A_VOXEL + radius)


def check_marks(data: bytes, seg: Dataset, masks: Sequence[NoduleMask], planes: Mapping[int, Plane], grid: Grid) -> None:
    """Raises LungscanError when a nodule of an SR's bytes does not point to its own segment of the SEG, or is marked half a
    voxel or more from where its outline lies on the image."""
    from highdicom import sr

    content = sr.srread(BytesIO(data)).content
    images = {(plane.image.SOPInstanceUID, plane.frame): plane for plane in planes.values()}
    for segment, mask in zip(seg.SegmentSequence, masks, strict=True):
        (volumetric,) = content.get_volumetric_roi_measurement_groups(tracking_uid=segment.TrackingUID)
        pointed = volumetric.referenced_segment[0].ReferencedSOPSequence[0]
        if (pointed.ReferencedSOPInstanceUID, pointed.ReferencedSegmentNumber) != (
            seg.SOPInstanceUID,
            segment.SegmentNumber,
        ):
            raise LungscanError(f"the DICOM SR points nodule {mask.id} to another segment; it was not written: report this.")
        (planar,) = content.get_planar_roi_measurement_groups(tracking_uid=segment.TrackingUID)
        image = planar.roi.ContentSequence[0].ReferencedSOPSequence[0]
        plane = images[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")]
        i, j = planar.roi.value.mean(axis=0) - PIXEL_CENTRE
        _, row_step, column_step = grid.spacing_irc_mm
        at = plane.position_xyz_mm + grid.direction[:, :2] @ (i * column_step, j * row_step)
        _check(f"SR marks nodule {mask.id}", at, _on_slice(mask, largest_slice(mask)), grid)


def _on_slice(mask: NoduleMask, k: int) -> Array:
    """Centroid (I,R,C) of a nodule's pixels on one slice."""
    (first, _), (row, _), (column, _) = mask.box_irc
    return np.array([k, *(np.argwhere(mask.mask[k - first]).mean(axis=0) + np.array([row, column]))])


def _check(what: str, found_xyz_mm: Array, wanted_irc: Array, grid: Grid, voxels: Array | float = HALF_A_VOXEL) -> None:
    if not (np.abs(grid.irc(found_xyz_mm) - wanted_irc) < voxels).all():
        mm = float(np.linalg.norm(found_xyz_mm - grid.xyz(wanted_irc)))
        raise LungscanError(f"the DICOM {what} {mm:.1f} mm off when read back; it was not written: report this.")
