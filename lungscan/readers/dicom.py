"""DICOM: images of a folder or zip → one series → `Volume`.

Each file is opened once and parsed for the few tags that place and scale it; uncompressed pixels go from the file's bytes
into one preallocated int16 array, compressed ones through pydicom's decoders.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from lungscan.errors import InputRefused, UsageError
from lungscan.readers.archive import Member
from lungscan.readers.dicom_geometry import Placed, stacked
from lungscan.readers.dicom_header import Header, looks_like_dicom, parse
from lungscan.readers.gate import as_hu
from lungscan.volume import AIR_HU, Notice, Source, Volume

CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")
"""CT Image and Enhanced CT Image."""

_FACTS = {
    "manufacturer": "Manufacturer",
    "kernel": "ConvolutionKernel",
    "slice_thickness_mm": "SliceThickness",
    "kvp": "KVP",
    "patient_position": "PatientPosition",
    "body_part": "BodyPartExamined",
}
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91")
_DERIVED_VIEWS = {"MIP", "MINIP", "VRT", "PROJECTION IMAGE", "PROJECTION", "MPR_CURVED"}

Stored = npt.NDArray[np.int16] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Slice:
    """One DICOM image, parsed and not yet decoded."""

    name: str
    header: Header

    def text(self, keyword: str) -> str:
        return self.header.tags.get(keyword, "")

    @property
    def series_uid(self) -> str:
        return self.text("SeriesInstanceUID")

    @property
    def is_ct(self) -> bool:
        return self.text("SOPClassUID") in CT_CLASSES and self.text("Modality").upper() in ("", "CT")

    @property
    def image_type(self) -> set[str]:
        return {part.strip().upper() for part in self.text("ImageType").split("\\")}

    @property
    def label(self) -> str:
        return " ".join(part for part in (self.text("Modality"), self.text("SeriesDescription")) if part)

    def number(self, keyword: str) -> float:
        """One finite number. Raises InputRefused when it is missing, empty, several or no number."""
        return self.numbers(keyword, 1)[0]

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in self.text(keyword).split("\\"))
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            wanted = "a number" if count == 1 else f"{count} numbers"
            said = self.text(keyword) or "missing"
            raise InputRefused(f"{self.name}: {keyword} is {said}, not {wanted}; place or HU are unknown.")
        return numbers

    def whole(self, keyword: str, default: int | None = None) -> int:
        if default is not None and not self.text(keyword):
            return default
        return int(self.number(keyword))


def slices(found: Iterable[Member]) -> list[Slice]:
    """The DICOM objects among some members, each opened once; what is no DICOM is passed over."""
    out = []
    for member in found:
        with member.open() as file:
            head = file.read(132)
            file.seek(0)
            header = parse(file.read()) if looks_like_dicom(head) else None
        if header is not None:
            out.append(Slice(member.name, header))
    return out


def by_series(found: Sequence[Slice]) -> dict[str, list[Slice]]:
    out: dict[str, list[Slice]] = {}
    for image in found:
        out.setdefault(image.series_uid, []).append(image)
    return out


def chosen(path: str, found: Sequence[Slice], series: str | None) -> Volume:
    """The series asked for, else the CT with the most slices (of equals the thinner, then the lower UID)."""
    groups = by_series(found)
    if series is not None:
        if series not in groups:
            raise UsageError(f"--series {series} is not in {path}; there are: {', '.join(sorted(groups))}.")
        uid = series
    else:
        readable = {uid: [s for s in images if s.is_ct] for uid, images in groups.items()}
        candidates = sorted((uid for uid, images in readable.items() if images), key=lambda u: (-len(readable[u]), u))
        if not candidates:
            kinds = sorted({s.text("Modality") or "unknown" for s in found})
            raise InputRefused(f"{path} holds no CT images, only {', '.join(kinds)}; give the folder of the CT series.")
        uid = candidates[0]
    others = tuple(f"{other} ({images[0].label}, {len(images)})" for other, images in sorted(groups.items()) if other != uid)
    return volume(path, groups[uid], others)


def volume(path: str, images: Sequence[Slice], skipped: tuple[str, ...] = ()) -> Volume:
    """One series as HU on its grid."""
    images, notices = _admitted(path, images)
    placed = []
    for image in images:
        row_mm, column_mm = image.numbers("PixelSpacing", 2)
        placed.append(
            Placed(
                name=image.name,
                position=np.array(image.numbers("ImagePositionPatient", 3)),
                orientation=np.array(image.numbers("ImageOrientationPatient", 6)),
                spacing_rc_mm=(row_mm, column_mm),
                size_rc=(image.whole("Rows"), image.whole("Columns")),
                frame=image.text("FrameOfReferenceUID"),
                passes=(image.text("AcquisitionNumber"), image.text("ConvolutionKernel"), image.text("ImageType")),
                pixels=image.header.pixels,
            )
        )
    grid, order, more = stacked(path, placed)
    hu = np.empty(grid.shape, np.int16)
    seen: set[str] = set()
    for k, at in enumerate(order):
        for notice in _decode(images[at], hu[k]):
            if notice.code not in seen:
                seen.add(notice.code)
                more.append(notice)
    first = images[order[0]]
    facts = {key: first.text(keyword) for key, keyword in _FACTS.items() if first.text(keyword)}
    kind = "dicom-zip" if path.lower().endswith(".zip") else "dicom"
    return Volume(hu, grid, Source(path, kind, first.series_uid, skipped, facts), tuple(notices + more))


def _admitted(path: str, images: Sequence[Slice]) -> tuple[list[Slice], list[Notice]]:
    """The images that may be a stack of CT slices, by what their headers say of their kind."""
    first = images[0]
    if not any(image.is_ct for image in images):
        raise InputRefused(f"{path}: series {first.series_uid} is {first.label or 'no CT'}; lungscan reads CT alone.")
    kept = [image for image in images if "LOCALIZER" not in image.image_type and image.is_ct]
    notices = []
    if any(image.header.bare for image in kept):
        notices.append(Notice("no-preamble", "Some files lack DICOM's preamble."))
    if len(kept) < len(images):
        notices.append(Notice("localizer", f"{len(images) - len(kept)} images that are no axial slices were left out."))
    if not kept:
        raise InputRefused(f"{path}: series {first.series_uid} holds localizers alone.")
    for image in kept:
        if view := _DERIVED_VIEWS & image.image_type:
            raise InputRefused(f"{image.name} is a {view.pop()} rendering, not a slice; give the original series.")
        if image.header.pixels is None:
            raise InputRefused(f"{image.name} is cut short: it holds no pixel data.")
        if image.whole("NumberOfFrames", 1) != 1:
            raise InputRefused(f"{image.name} is a multi-frame image; convert it to single slices first.")
    if any(not image.text("Modality") for image in kept):
        notices.append(Notice("no-modality", "The images do not name their modality; their class says CT."))
    if len({image.text("PatientID") for image in kept}) > 1:
        raise InputRefused(f"{path}: series {first.series_uid} holds images of more than one patient.")
    if any("AVERAGE" in image.image_type for image in kept):
        notices.append(Notice("averaged", "The slices are averages of others; small nodules may be blurred."))
    return kept, notices


def _decode(image: Slice, out: npt.NDArray[np.int16]) -> list[Notice]:
    """Write the HU of one image into its (R,C) slice of the volume."""
    _check_pixels(image)
    stored, notices = _stored(image, out.shape)
    slope, intercept = image.number("RescaleSlope"), image.number("RescaleIntercept")
    if slope == 0:
        raise InputRefused(f"{image.name}: RescaleSlope is 0, so all HU would be alike.")
    if slope < 0:
        notices.append(Notice("negative-slope", "RescaleSlope is negative."))
    low, high = (int(stored.min()), int(stored.max()))
    if slope == 1 and intercept == int(intercept) and low + intercept >= -32768 and high + intercept <= 32767:
        np.add(
            stored.view(np.int16), np.array(intercept).astype(np.int64).astype(np.int16), out=out
        )  # exact: the sum fits, wherever the parts wrap
    else:
        hu = stored.astype(np.float64) * slope + intercept
        over = hu > 32767
        if over.mean() > 0.01:
            raise InputRefused(f"{image.name} holds HU over 32767 in more than 1 % of its pixels.")
        if over.any():
            notices.append(Notice("clipped", "HU over 32767 were clipped."))
        out[:] = as_hu(np.minimum(hu, 32767), image.name)
    padding = _padding(image)
    if padding is not None and padding[0] * slope + intercept > AIR_HU:
        out[(stored >= padding[0]) & (stored <= padding[1])] = AIR_HU
        notices.append(Notice("padding", f"The scanner's padding is read as {AIR_HU}."))
    np.maximum(out, AIR_HU, out=out)
    return notices


def _check_pixels(image: Slice) -> None:
    unit = image.text("RescaleType").upper()
    if "ModalityLUTSequence" in image.header.tags:
        raise InputRefused(f"{image.name} scales its values by a table, not to HU.")
    if unit not in ("", "HU"):
        raise InputRefused(f"{image.name} holds {unit}, not HU; give the CT series itself.")
    if image.whole("SamplesPerPixel", 1) != 1 or image.text("PhotometricInterpretation") != "MONOCHROME2":
        raise InputRefused(
            f"{image.name} is {image.text('PhotometricInterpretation') or 'a colour image'}, not HU in grey values."
        )
    bits = image.whole("BitsStored")
    if image.whole("BitsAllocated") != 16 or not 8 <= bits <= 16 or image.whole("HighBit", bits - 1) != bits - 1:
        raise InputRefused(f"{image.name} stores {bits} of {image.whole('BitsAllocated')} bits a pixel, which no CT does.")


def _stored(image: Slice, shape: tuple[int, ...]) -> tuple[Stored, list[Notice]]:
    """Stored values as int16 or uint16, masked to the bits that count and sign-extended; (R,C)."""
    signed = image.whole("PixelRepresentation") == 1
    syntax = UID(image.header.syntax)
    notices = []
    if syntax in _LOSSY or image.text("LossyImageCompression") == "01":
        ratio = image.text("LossyImageCompressionRatio")
        notices.append(
            Notice("lossy", f"The images are lossily compressed{f' ({ratio}:1)' if ratio else ''}: HU are not exact.")
        )
    if syntax.is_encapsulated and syntax != DeflatedExplicitVRLittleEndian:
        values = _decompressed(image, shape)
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        raw = image.header.pixels
        assert raw is not None
        wanted = 2 * shape[0] * shape[1]
        if not wanted <= len(raw) <= wanted + 1:
            raise InputRefused(f"{image.name} holds {len(raw)} bytes of pixels, not the {wanted} that its size asks for.")
        values = np.frombuffer(raw, f"{order}i2" if signed else f"{order}u2", count=wanted // 2).reshape(shape)
    values = values.astype(np.int16 if signed else np.uint16, copy=False)
    spare = 16 - image.whole("BitsStored")
    if spare:
        values = (values << spare) >> spare
    return values, notices


def _decompressed(image: Slice, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    from pydicom.pixels import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values: Any = pixel_array(image.header.dataset, raw=True)
    except Exception as error:  # a codec may raise anything for broken data
        raise InputRefused(f"{image.name} cannot be decompressed ({str(error).splitlines()[0]}).") from error
    if values.shape != shape:
        raise InputRefused(f"{image.name} decompresses to {values.shape}, not {shape}.")
    return np.asarray(values)


def _padding(image: Slice) -> tuple[int, int] | None:
    """Stored values from and to which nothing was measured, in the sign of the pixels."""
    if not image.text("PixelPaddingValue"):
        return None
    signed = image.whole("PixelRepresentation") == 1
    ends = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if image.text(keyword):
            number = image.whole(keyword)
            ends.append(int(np.uint16(number & 0xFFFF).astype(np.int16)) if signed else number & 0xFFFF)
    return min(ends), max(ends)
