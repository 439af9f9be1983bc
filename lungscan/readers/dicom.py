"""DICOM: images of a folder or zip → one series → `Volume`.

Each file is opened once and walked for the few tags that place and scale it; uncompressed pixels then go from those bytes
into one preallocated int16 array.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lungscan.errors import InputRefused, UsageError
from lungscan.readers.archive import Member
from lungscan.readers.dicom_frames import frames
from lungscan.readers.dicom_geometry import Placed, stacked
from lungscan.readers.dicom_header import Header, looks_like_dicom, parse
from lungscan.readers.dicom_pixels import decode
from lungscan.readers.dicom_shear import Shear
from lungscan.readers.dicom_slice import DERIVED_VIEWS, Slice
from lungscan.readers.gate import placed
from lungscan.readers.room import room
from lungscan.volume import Notice, Source, Volume

HEAD_BYTES, AT_ONCE_BYTES = 132, 2**22
"""What tells whether a file may be DICOM; the whole of a smaller file is read at once."""

NAMED = 3
"""So many of the files passed over are named."""

CHEST = ("CHEST", "THORAX", "LUNG", "TORSO", "TRUNK", "BODY", "BREAST", "HEART", "MEDIASTIN", "ESOPHAG")
"""Body parts that hold lungs; the tag is a hint, often left as the protocol had it, and never a reason to refuse."""

ALTERNATION_HU = 10.0
"""Slices whose mean swings to and fro by more than this are two acquisitions shuffled into one another."""

_FACTS = {
    "manufacturer": "Manufacturer",
    "kernel": "ConvolutionKernel",
    "slice_thickness_mm": "SliceThickness",
    "kvp": "KVP",
    "patient_position": "PatientPosition",
    "body_part": "BodyPartExamined",
    "acquisition_date": "AcquisitionDate",
    "study_date": "StudyDate",
}


def slices(found: Iterable[Member], foreign: list[str] | None = None) -> list[Slice]:
    """The DICOM objects among some members, each opened once; names of what is no DICOM go to `foreign`."""
    out = []
    foreign = [] if foreign is None else foreign
    held = 0
    for member in found:
        header = _header(member)
        if header is None:
            foreign.append(member.name)
            continue
        image = Slice(member.name, header)
        held += header.held_bytes
        out.append(image if held <= room().held_bytes or not header.has_pixels else image.let_go(member))
    return out


def _header(member: Member) -> Header | None:
    with member.open() as file:
        size = member.size()
        data = file.read(-1 if size <= AT_ONCE_BYTES else HEAD_BYTES)
        if not looks_like_dicom(data[:HEAD_BYTES]):
            return None
        room().refuse_larger(member.name, size)
        if size > AT_ONCE_BYTES:
            data += file.read()
    return parse(data, member.name)


def passed_over(foreign: Sequence[str]) -> tuple[Notice, ...]:
    """What to say of the files that are no DICOM."""
    if not foreign:
        return ()
    names = ", ".join(foreign[:NAMED]) + (", ..." if len(foreign) > NAMED else "")
    what = "file that is no DICOM image was" if len(foreign) == 1 else "files that are no DICOM images were"
    return (Notice("other-files", f"{len(foreign)} {what} passed over ({names})."),)


def by_series(found: Sequence[Slice]) -> dict[str, list[Slice]]:
    out: dict[str, list[Slice]] = {}
    for image in found:
        out.setdefault(image.series_uid, []).append(image)
    return out


def chosen(path: str, found: Sequence[Slice], series: str | None, kind: str) -> Volume:
    """The series asked for, else the CT with the most slices (of equals the thinner, then the lower UID)."""
    groups = by_series(found)
    if series is not None and series not in groups:
        raise UsageError(f"--series {series} is not in {path}; there are: {', '.join(sorted(groups))}.")
    uid = _largest(path, groups) if series is None else series
    others = tuple(
        f"{other} ({images[0].text('Modality')}, {len(images)})" for other, images in sorted(groups.items()) if other != uid
    )
    return volume(path, groups[uid], kind, others)


def _largest(path: str, groups: dict[str, list[Slice]]) -> str:
    def rank(uid: str) -> tuple[int, float, str]:
        try:
            thickness = groups[uid][0].number("SliceThickness")
        except InputRefused:
            thickness = float("inf")
        return -sum(image.frames for image in groups[uid] if image.is_slice), thickness, uid

    candidates = [uid for uid, images in groups.items() if any(image.is_slice for image in images)]
    if not candidates:
        candidates = [uid for uid, images in groups.items() if any(image.is_ct for image in images)]
    if not candidates:
        kinds = sorted({image.text("Modality") or "unknown" for images in groups.values() for image in images})
        raise InputRefused(f"{path} holds no CT images, only {', '.join(kinds)}; give the folder of the CT series.")
    return min(candidates, key=rank)


def volume(path: str, images: Sequence[Slice], kind: str, skipped: tuple[str, ...] = ()) -> Volume:
    """One series as HU on its grid."""
    images, notices = _admitted(path, images)
    stack = stacked(path, [_placed(image) for image in images])
    placed(path, stack.grid)
    shear = Shear.of(stack.grid, stack.drift_rc) if any(stack.drift_rc) else None
    grid = stack.grid if shear is None else shear.grid
    hu = np.empty(grid.shape, np.int16)
    plane = np.empty(stack.grid.shape[1:], np.int16)
    seen: dict[str, Notice] = {}
    for k, at in enumerate(stack.order):
        for notice in decode(images[at], hu[k] if shear is None else plane):
            seen.setdefault(notice.code, notice)
        if shear is not None:
            shear.put(k, plane, hu[k])
    _refuse_shuffled(path, hu)
    first = images[stack.order[0]]
    facts = {key: first.text(keyword) for key, keyword in _FACTS.items() if first.text(keyword)}
    return Volume(hu, grid, Source(path, kind, first.series_uid, skipped, facts), (*notices, *stack.notices, *seen.values()))


def _placed(image: Slice) -> Placed:
    row_mm, column_mm = image.numbers("PixelSpacing", 2)
    if min(row_mm, column_mm) <= 0:
        raise InputRefused(f"{image.name}: PixelSpacing is {row_mm:g} x {column_mm:g} mm, which is no size.")
    return Placed(
        name=image.name,
        position=np.array(image.numbers("ImagePositionPatient", 3)),
        orientation=np.array(image.numbers("ImageOrientationPatient", 6)),
        spacing_rc_mm=(row_mm, column_mm),
        size_rc=(image.whole("Rows"), image.whole("Columns")),
        frame=image.text("FrameOfReferenceUID"),
        passes=tuple(image.text(k) for k in ("AcquisitionNumber", "ConvolutionKernel", "ImageType", "Exposure")),
        pixels=lambda: image.pixels,
    )


def _admitted(path: str, images: Sequence[Slice]) -> tuple[list[Slice], list[Notice]]:
    """The images that may be a stack of CT slices, by what their headers say of their kind; frames one by one."""
    first = images[0]
    if not any(image.is_ct for image in images):
        raise InputRefused(
            f"{path}: series {first.series_uid} is {first.text('Modality') or 'no CT'}; lungscan reads CT alone."
        )
    kept = [image for image in images if "LOCALIZER" not in image.image_type and image.is_ct]
    notices = []
    if any(image.header.bare for image in kept):
        notices.append(Notice("no-preamble", "Some files lack DICOM's preamble."))
    if len(kept) < len(images):
        notices.append(Notice("localizer", f"{len(images) - len(kept)} images that are no axial slices were left out."))
    if not kept:
        raise InputRefused(f"{path}: series {first.series_uid} holds localizers alone.")
    for image in kept:
        if view := DERIVED_VIEWS & image.image_type:
            raise InputRefused(f"{image.name} is a {view.pop()} rendering, not a slice; give the original series.")
        if not image.header.has_pixels and image.member is None:
            raise InputRefused(f"{image.name} is cut short: it holds no pixel data.")
        if min(image.whole("Rows"), image.whole("Columns")) < 1:
            raise InputRefused(f"{image.name} gives its size as {image.text('Rows')} x {image.text('Columns')} pixels.")
    if any(not image.text("Modality") for image in kept):
        notices.append(Notice("no-modality", "The images do not name their modality; their class says CT."))
    if len({image.text("PatientID") for image in kept}) > 1:
        raise InputRefused(f"{path}: series {first.series_uid} holds images of more than one patient.")
    if (part := kept[0].text("BodyPartExamined").upper()) and not any(word in part for word in CHEST):
        notices.append(Notice("body-part", f"The images call their body part {part[:16]}, not chest."))
    if any("AVERAGE" in image.image_type for image in kept):
        notices.append(Notice("averaged", "The slices are averages of others; small nodules may be blurred."))
    return [one for image in kept for one in (frames(image) if image.frames != 1 else [image])], notices


def _refuse_shuffled(path: str, hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    """Refuse slices that are bright and dark by turns: two acquisitions half a step apart."""
    means = hu[:, ::8, ::8].mean(axis=(1, 2))
    beside = means[1:-1] - (means[:-2] + means[2:]) / 2
    if len(beside) < 8:
        return
    turns = np.count_nonzero(beside[1:] * beside[:-1] < 0) / (len(beside) - 1)
    if turns > 0.9 and np.median(np.abs(beside)) > ALTERNATION_HU:
        raise InputRefused(
            f"{path}: every other slice differs in brightness, as when two acquisitions are mixed; export one."
        )
