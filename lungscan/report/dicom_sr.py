"""The nodules as a DICOM structured report: TID 1500 in a Comprehensive 3D SR, made by highdicom (PS3.16, TID 1500).

Each nodule has two measurement groups under one tracking UID: a volumetric one that points to its segment of the SEG
(TID 1411), and a planar one with an ellipse on the image where it is largest (TID 1410), since some viewers show only
one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset

from lungscan import files
from lungscan.clinical.measure import axes
from lungscan.findings import Nodule, Report
from lungscan.report import dicom_codes as code
from lungscan.report import dicom_seg
from lungscan.report.dicom_ellipse import ellipse, largest_slice
from lungscan.report.dicom_objects import NAME, general, named, parameters, sealed, tracking, uid
from lungscan.report.dicom_readback import check_marks
from lungscan.report.dicom_seg import Segmentation, segmentation
from lungscan.stages.outline import Examined, NoduleMask
from lungscan.volume import Volume

if TYPE_CHECKING:
    from highdicom import sr

FILE = "nodules-sr.dcm"
SERIES_NUMBER = 902


def write_sr(examined: Examined, folder: Path, *, with_identity: bool = False) -> list[Path]:
    """Write `nodules-seg.dcm`, then `nodules-sr.dcm` that points to it, and tell both; no file without nodules.

    The SEG is the one that `write_seg` writes, byte for byte. Raises what `write_seg` raises.
    """
    beside, file = folder / dicom_seg.FILE, folder / FILE
    seg = segmentation(examined, with_identity=with_identity)
    if seg is None:
        beside.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        return []
    made = _dataset(examined, seg)
    if with_identity:
        named(made, next(iter(seg.planes.values())).identity)
    data = sealed(made)
    check_marks(data, seg.dataset, seg.masks, seg.planes, examined.volume.grid)
    files.write_bytes(beside, seg.data)
    files.write_bytes(file, data)
    return [beside, file]


def _dataset(examined: Examined, seg: Segmentation) -> Dataset:
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    report = examined.report
    images = {plane.image.SOPInstanceUID: plane.image for plane in seg.planes.values()}
    first = next(iter(images.values()))
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid("device", report.version, report.settings.weights.sha256),
        name=NAME,
        manufacturer_name=NAME,
        model_name=NAME,
        serial_number=report.settings.weights.sha256[:16],
    )
    observer = sr.ObserverContext(observer_type=code.DEVICE, observer_identifying_attributes=device)
    groups = []
    for number, (nodule, mask) in enumerate(zip(report.nodules, seg.masks, strict=True), 1):
        groups += [_volumetric(report, nodule, seg, number), _planar(report, nodule, mask, seg, examined.volume)]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=code.PROCEDURE,
        imaging_measurements=groups,
        title=code.TITLE,
    )
    return sr.Comprehensive3DSR(
        evidence=[*images.values(), seg.dataset],
        content=content,
        is_complete=True,
        series_description=f"{NAME}: report",
        coding_schemes=[CodingSchemeIdentificationItem(code.OWN_SCHEME, name=NAME)],
        **general(report, first, SERIES_NUMBER),
    )


def _volumetric(
    report: Report, nodule: Nodule, seg: Segmentation, number: int
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom import sr

    volume = sr.Measurement(code.VOLUME, _decimals(nodule.volume_mm3), code.MM3, method=code.SUM_OF_VOXELS)
    attenuation = sr.Measurement(code.ATTENUATION, _decimals(nodule.hu_mean), code.HU, derivation=code.MEAN)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(report, nodule),
        referenced_segment=sr.ReferencedSegment.from_segmentation(seg.dataset, number),
        finding_category=code.ABNORMAL_STRUCTURE,
        finding_type=code.NODULE,
        finding_sites=[sr.FindingSite(code.LUNG)],
        algorithm_id=_algorithm(report),
        measurements=[volume, attenuation, *_told(nodule)],
    )


def _planar(
    report: Report, nodule: Nodule, mask: NoduleMask, seg: Segmentation, volume: Volume
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    from highdicom import sr

    plane = seg.planes[largest_slice(mask)]
    image = sr.SourceImageForRegion.from_source_image(plane.image, None if plane.frame is None else [plane.frame])
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(report, nodule),
        referenced_region=sr.ImageRegion("ELLIPSE", ellipse(mask), image),
        finding_category=code.ABNORMAL_STRUCTURE,
        finding_type=code.NODULE,
        finding_sites=[sr.FindingSite(code.LUNG)],
        algorithm_id=_algorithm(report),
        measurements=[*_told(nodule), *_axes(mask, volume)],
    )


def _told(nodule: Nodule) -> Iterator[sr.Measurement]:
    """What a reader wants beside the mark, whichever of the groups is shown."""
    from highdicom import sr

    yield sr.Measurement(code.DIAMETER, _decimals(nodule.diameter_mm), code.MM, method=code.SPHERE_OF_THIS_VOLUME)
    yield sr.Measurement(code.CERTAINTY_OF_FINDING, _decimals(100 * nodule.p_nodule), code.PERCENT)
    if nodule.p_malignant is not None:
        yield sr.Measurement(code.PROBABILITY_OF_CANCER, _decimals(100 * nodule.p_malignant), code.PERCENT)


def _axes(mask: NoduleMask, volume: Volume) -> Iterator[sr.Measurement]:
    """The axes that guidelines measure, on axial slices however the file's slices lie."""
    from highdicom import sr

    part = replace(volume, hu=mask.mask.astype(np.int16), grid=volume.grid.part(mask.box_irc)).canonical()
    measured = axes(part.hu > 0, part.grid.spacing_irc_mm)
    yield sr.Measurement(code.LONG_AXIS, _decimals(measured.long_mm), code.MM)
    yield sr.Measurement(code.SHORT_AXIS, _decimals(measured.short_mm), code.MM)
    yield sr.Measurement(code.DIAMETER, _decimals(measured.mean_mm), code.MM, derivation=code.MEAN)


def _tracked(report: Report, nodule: Nodule) -> sr.TrackingIdentifier:
    from highdicom import sr

    name, tracking_uid = tracking(report, nodule)
    return sr.TrackingIdentifier(tracking_uid, name)


def _algorithm(report: Report) -> sr.AlgorithmIdentification:
    from highdicom import sr

    used = [f"{key}={value}" for key, value in parameters(report).items()]
    return sr.AlgorithmIdentification(NAME, report.version, used, code.ALGORITHM_FAMILY, NAME)


def _decimals(value: float) -> float:
    return round(float(value), 4)
