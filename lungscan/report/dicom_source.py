"""The images that a volume was read from, found again slice by slice, for DICOM objects that refer to them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import dicom
from lungscan.readers.apart import at_hand
from lungscan.readers.archive import Member, is_zip, members
from lungscan.readers.dicom_frames import frames
from lungscan.readers.dicom_geometry import STEP_MM, STEP_SHARE, UNIT
from lungscan.readers.dicom_header import CT_CLASSES, ENHANCED_CT, looks_like_dicom
from lungscan.readers.dicom_pixels import decode
from lungscan.report.dicom_carried import IDENTITY, NAMED, carried, chosen
from lungscan.report.dicom_objects import need_highdicom
from lungscan.volume import Array, Grid, Volume

NOWHERE = -1
_FOREIGN = (
    "{} is no DICOM: a DICOM SEG or SR belongs to a study and a frame of reference, which only DICOM input names; "
    "leave out --write seg and --write sr, or give the DICOM series."
)
_TILTED = (
    "{} was scanned with a tilted gantry: its grid is not that of its images, so no SEG or SR can refer to them; leave out "
    "--write seg and --write sr."
)


@dataclass(frozen=True)
class Plane:
    """The image of one slice. `frame` counts from 1 within an enhanced CT, whose frames are slices.

    image    : what describes and places it, its axes and steps those of the volume; the patient's module empty
    identity : what names the patient and the order, empty unless asked for
    """

    image: Dataset
    identity: Dataset
    frame: int | None
    position_xyz_mm: Array


def check_dicom_out(path: str | Path) -> None:
    """Before the long work: raises UsageError when `path` holds no DICOM for a SEG or SR to belong to, EngineUnavailable
    without highdicom. A path that does not exist is left to the reader."""
    need_highdicom()
    there = Path(path)
    if there.exists() and not any(_is_dicom(member) for member in _found(there)):
        raise UsageError(_FOREIGN.format(path))


def source_planes(volume: Volume, slices: Sequence[int], *, with_identity: bool = False) -> list[Plane]:
    """The images of some slices of a volume, found by where they lie, in the order given.

    What names the patient is not even looked at unless `with_identity`, so that no warning can tell of it.
    Raises UsageError for a volume that was read from another format, InputRefused when its files have gone or do not name
    study and frame of reference.
    """
    source = volume.source
    if not source.format.startswith("dicom"):
        raise UsageError(_FOREIGN.format(source.path))
    if any(notice.code == "tilt" for notice in volume.notices):
        raise UsageError(_TILTED.format(source.path))
    if not slices:
        return []
    at: dict[int, list[tuple[Plane, Member]]] = {k: [] for k in slices}
    for member in _found(Path(source.path)):
        for k, plane in _planes(member, volume, slices, IDENTITY if with_identity else ()):
            at[k].append((plane, member))
    planes = [_of_several(volume, k, at[k]) for k in slices]
    if len({plane.image.SOPInstanceUID for plane in planes if plane.frame is not None}) > 1:
        raise InputRefused(f"{source.path} spreads its frames over several enhanced CT objects, to which no SEG can refer.")
    return planes


def identity(volume: Volume) -> dict[str, str]:
    """Name, ID and date of birth as the images of a volume give them; empty for what is no DICOM, or has gone."""
    for member in _found(Path(volume.source.path)) if volume.source.format.startswith("dicom") else ():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = _header(member)
            if header is not None and header.get("SeriesInstanceUID") == volume.source.series_uid:
                told = chosen(header, NAMED.values())
                return {key: str(told.get(keyword, "")) for key, keyword in NAMED.items()}
    return {}


def _found(path: Path) -> Iterator[Member]:
    """The files among which the reader looks for the series of `path`."""
    if path.name.upper() == "DICOMDIR":
        path = path.parent
    if path.is_dir() or is_zip(path):
        return members(path)
    if _is_dicom(Member.of(path)):
        return members(path.resolve().parent, depth=0)
    return iter(())


def _is_dicom(member: Member) -> bool:
    with member.open() as file:
        return looks_like_dicom(file.read(132))


def _planes(member: Member, volume: Volume, slices: Sequence[int], of_patient: Sequence[str]) -> Iterator[tuple[int, Plane]]:
    """Those of the slices that one file holds, by their index; none where it is no CT image of the series."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break DICOM's rules are looked at where they are used
        header = _header(member)
        if header is None or header.get("SeriesInstanceUID") != volume.source.series_uid:
            return
        if header.get("SOPClassUID") not in CT_CLASSES or "LOCALIZER" in header.get("ImageType", ()):
            return
        places = list(_places(header))
        indices = [_slice(*place, volume.grid) for place in places]
        if not set(indices) & set(slices):
            return
        image = carried(header, member.name, volume.grid, [position for position, _ in places])
        identity = chosen(header, of_patient)
    for frame, (k, (position, _)) in enumerate(zip(indices, places, strict=True), 1):
        if k in slices:
            yield k, Plane(image, identity, frame if header.SOPClassUID in ENHANCED_CT else None, position)


def _places(header: Dataset) -> Iterator[tuple[Array, Array]]:
    """Position and orientation of the image, or of each of its frames, whose own groups come before those that all share."""
    if header.SOPClassUID not in ENHANCED_CT:
        yield np.array(header.ImagePositionPatient, float), np.array(header.ImageOrientationPatient, float)
        return
    shared = header.SharedFunctionalGroupsSequence[0]
    for own in header.PerFrameFunctionalGroupsSequence:
        position, orientation = (
            (own.get(group) or shared.get(group))[0] for group in ("PlanePositionSequence", "PlaneOrientationSequence")
        )
        yield np.array(position.ImagePositionPatient, float), np.array(orientation.ImageOrientationPatient, float)


def _header(member: Member) -> Dataset | None:
    with member.open() as file:
        head = file.read(132)
        data = head + file.read() if looks_like_dicom(head) else b""
    try:
        return pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=True) if data else None
    except Exception:  # pydicom raises whatever broken bytes lead it into; the reader passed this file over too
        return None


def _slice(position: Array, orientation: Array, grid: Grid) -> int:
    """The slice that lies where this image does, under the reader's own bounds; NOWHERE when there is none."""
    if np.abs(orientation - grid.direction[:, :2].T.ravel()).max() > 2 * UNIT:
        return NOWHERE
    step = grid.spacing_irc_mm[0]
    along = float((position - grid.origin_xyz_mm) @ grid.direction[:, 2])
    k = round(along / step)
    return k if abs(along - k * step) <= 2 * max(STEP_SHARE * step, STEP_MM) else NOWHERE


def _of_several(volume: Volume, k: int, found: Sequence[tuple[Plane, Member]]) -> Plane:
    """The image of slice k; of several passes or copies at its place the first whose pixels are the volume's."""
    if len(found) == 1:
        return found[0][0]
    for plane, member in found:
        hu = np.empty(volume.grid.shape[1:], np.int16)
        with at_hand():
            (image,) = dicom.slices([member])
            decode(image if plane.frame is None else frames(image)[plane.frame - 1], hu)
        if np.array_equal(hu, volume.hu[k]):
            return plane
    raise InputRefused(
        f"{volume.source.path} no longer holds the image of slice {k}; it was moved or changed during the scan."
    )
