"""What a DICOM SEG and an SR share: who made them and when, and UIDs that follow from their content."""

from __future__ import annotations

import hashlib
import uuid
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import pydicom
from pydicom import Dataset

from lungscan.errors import EngineUnavailable
from lungscan.findings import Nodule, Report

NAME = "lungscan"
NO_DATE, NO_TIME = "19000101", "000000"
"""For images that say nothing of when they were made."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "report.lungscan")


def need_highdicom() -> None:
    """Raises EngineUnavailable without it."""
    if find_spec("highdicom") is None:
        raise EngineUnavailable(
            "--write seg and --write sr need highdicom, which is not installed: pip install 'lungscan-ct[dicom]'."
        )


def uid(*names: object) -> str:
    """The same UID for the same names, under 2.25, the root for UUIDs (DICOM PS3.5, B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"


def tracking(report: Report, nodule: Nodule) -> tuple[str, str]:
    """The name and the UID of a nodule in every object: the same wherever the same scan shows one at the same place."""
    place = (f"{mm:.3f}" for mm in nodule.centre_xyz_mm)
    return f"Nodule {nodule.id}", uid(report.input.series_uid, "nodule", *place)


def parameters(report: Report) -> dict[str, str]:
    """What decides a scan's findings, beside the program's version."""
    weights, thresholds = report.settings.weights, report.settings.thresholds
    return {
        "weights": weights.name,
        "sha256": weights.sha256,
        "segmentation": f"{thresholds.segmentation:g}",
        "nodule": f"{thresholds.nodule:g}",
        "malignancy": f"{thresholds.malignancy:g}",
    }


def general(report: Report, image: Dataset, series_number: int) -> dict[str, Any]:
    """The arguments that every object is made with, and UIDs to be replaced by `sealed`.

    Its date is that of the images: the same scan gives the same object whenever it is made, and a PACS takes the second
    for a copy of the first.
    """
    dated = next((of for of in ("Acquisition", "Series", "Study") if image.get(f"{of}Date")), "")
    return {
        "series_instance_uid": uid("series"),
        "series_number": series_number,
        "sop_instance_uid": uid("instance"),
        "instance_number": 1,
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": report.version,
        "device_serial_number": report.settings.weights.sha256[:16],
        "content_date": image.get(f"{dated}Date") or NO_DATE,
        "content_time": image.get(f"{dated}Time") or NO_TIME,
        "specific_character_set": "ISO_IR 192",
    }


def named(made: Dataset, identity: Dataset) -> None:
    """Give an object back to its patient."""
    del made.PatientIdentityRemoved, made.DeidentificationMethod
    made.update(identity)


def sealed(made: Dataset) -> bytes:
    """The object's bytes as a file, once its UIDs are made from all the rest: other content has other UIDs.

    What tells of the moment of writing is taken out.
    """
    del made.InstanceCreationDate, made.InstanceCreationTime
    for equipment in made.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)
    digest = hashlib.sha256(_bytes(made)).hexdigest()
    made.SeriesInstanceUID = uid("series", digest)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid("instance", digest)
    return _bytes(made)


def _bytes(made: Dataset) -> bytes:
    with BytesIO() as buffer:
        pydicom.dcmwrite(buffer, made, enforce_file_format=True)
        return buffer.getvalue()
