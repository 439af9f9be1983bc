"""The nodules as a DICOM Segmentation: one binary segment a nodule, on the images that the scan was read from.

Made by highdicom (PS3.3, A.51). It belongs to the images' study and frame of reference and names them frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from lungscan import files
from lungscan.findings import Report
from lungscan.report import dicom_codes as code
from lungscan.report.dicom_objects import NAME, general, named, need_highdicom, parameters, sealed, tracking, uid
from lungscan.report.dicom_readback import check_places
from lungscan.report.dicom_source import Plane, source_planes
from lungscan.stages.outline import Examined, NoduleMask, nodule_masks

FILE = "nodules-seg.dcm"
SERIES_NUMBER = 901


@dataclass(frozen=True)
class Segmentation:
    """A SEG and what it was made of. Segments count from 1 in the order of the report's nodules.

    planes : the image of each slice that shows a nodule, by the slice's index
    """

    dataset: Dataset
    data: bytes
    masks: tuple[NoduleMask, ...]
    planes: dict[int, Plane]


def write_seg(examined: Examined, folder: Path, *, with_identity: bool = False) -> Path | None:
    """Write `nodules-seg.dcm`, checked by reading it back; None, and no file, without nodules: a SEG cannot be empty.

    The patient's name, ID, sex and date of birth, and what else names a person, stand empty unless `with_identity`.
    Raises UsageError for a scan that was not read from DICOM, InputRefused when its files no longer tell what they
    belong to, EngineUnavailable without highdicom, LungscanError when the file read back lies elsewhere than the nodules.
    """
    file = folder / FILE
    made = segmentation(examined, with_identity=with_identity)
    if made is None:
        file.unlink(missing_ok=True)
        return None
    files.write_bytes(file, made.data)
    return file


def segmentation(examined: Examined, *, with_identity: bool = False) -> Segmentation | None:
    """The SEG of a scan's nodules, read back and found right; None without nodules."""
    need_highdicom()
    masks, grid = nodule_masks(examined), examined.volume.grid
    slices = sorted({i for mask in masks for i in _slices(mask)})
    found = source_planes(examined.volume, slices, with_identity=with_identity)
    if not masks:
        return None
    planes = dict(zip(slices, found, strict=True))
    dataset = _dataset(examined.report, planes, _labels(masks, slices, grid.shape[1:]))
    if with_identity:
        named(dataset, found[0].identity)
    data = sealed(dataset)
    check_places(data, masks, examined.report.nodules, grid)
    return Segmentation(dataset, data, masks, planes)


def _slices(mask: NoduleMask) -> list[int]:
    first = mask.box_irc[0][0]
    return [first + int(k) for k in np.flatnonzero(mask.mask.any(axis=(1, 2)))]


def _labels(masks: tuple[NoduleMask, ...], slices: list[int], size_rc: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """The segment's number in each voxel of the slices that hold one; outlines share no voxel."""
    labels = np.zeros((len(slices), *size_rc), np.uint16)
    for number, mask in enumerate(masks, 1):
        (first, _), rows, columns = mask.box_irc
        for i in _slices(mask):
            labels[slices.index(i), slice(*rows), slice(*columns)][mask.mask[i - first]] = number
    return labels


def _dataset(report: Report, planes: dict[int, Plane], labels: npt.NDArray[np.uint16]) -> Dataset:
    import highdicom as hd
    from highdicom.seg import SegmentDescription

    first = next(iter(planes.values()))
    images = {plane.image.SOPInstanceUID: plane.image for plane in planes.values()}
    algorithm = hd.AlgorithmIdentificationSequence(
        name=NAME, version=report.version, family=code.ALGORITHM_FAMILY, source=NAME, parameters=parameters(report)
    )
    descriptions = []
    for number, nodule in enumerate(report.nodules, 1):
        name, tracking_uid = tracking(report, nodule)
        descriptions.append(
            SegmentDescription(
                segment_number=number,
                segment_label=name,
                segmented_property_category=code.ABNORMAL_STRUCTURE,
                segmented_property_type=code.NODULE,
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
                tracking_uid=tracking_uid,
                tracking_id=name,
                anatomic_regions=[code.LUNG],
            )
        )
    made = hd.seg.Segmentation(
        source_images=list(images.values()),
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        plane_positions=[hd.PlanePositionSequence("PATIENT", plane.position_xyz_mm.tolist()) for plane in planes.values()],
        content_label="LUNG_NODULES",
        content_description="lung nodules, each a segment",
        content_creator_name=None,
        series_description=f"{NAME}: nodules",
        **general(report, first.image, SERIES_NUMBER),
    )
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid("dimensions", made.FrameOfReferenceUID)
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid("dimensions", made.FrameOfReferenceUID)
    _segment_of_each_frame(made)
    return made


def _segment_of_each_frame(made: Dataset) -> None:
    """A single segment is named once for all frames; many readers look for it in each."""
    shared = made.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        for own in made.PerFrameFunctionalGroupsSequence:
            own.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence
