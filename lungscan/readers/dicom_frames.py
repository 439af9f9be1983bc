"""Enhanced CT: one object of many frames → one `Slice` a frame (DICOM PS3.3, C.7.6.16).

What places and scales a frame stands in the functional groups, those of the frame before those that all frames share.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lungscan.errors import InputRefused
from lungscan.readers.apart import child
from lungscan.readers.dicom_pixels import decompressed
from lungscan.readers.dicom_slice import Slice
from lungscan.readers.dicom_tags import ENHANCED_CT, EXPLICIT, text
from lungscan.readers.room import room

FRAMES = 10_000

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
}


def frames(image: Slice) -> list[Slice]:
    """The frames of an enhanced CT. Raises InputRefused for several stacks or phases, maps, or damaged groups."""
    image = image.at_hand()
    header = image.header
    if image.text("SOPClassUID") not in ENHANCED_CT or header.file is None:
        raise InputRefused(f"{image.name} is a multi-frame image; convert it to single slices first.")
    answer, _ = child().ask(image.name, {"task": "frames", "tags": header.tags}, header.file)
    tags: list[dict[str, str]] = answer["frames"]
    pixels = _pixels(image, len(tags))
    syntax = EXPLICIT if header.compressed else header.syntax
    native = replace(header, syntax=syntax, file=None)
    return [Slice(f"{image.name} frame {k + 1}", replace(native, tags=own, pixels=pixels[k])) for k, own in enumerate(tags)]


def frame_tags(name: str, dataset: Any, common: dict[str, str]) -> list[dict[str, str]]:
    """The tags of each frame, `common` being those of the object. Runs in the child, where pydicom parses."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    each = dataset.PerFrameFunctionalGroupsSequence
    count = int(dataset.get("NumberOfFrames", 1))
    kind = [part.strip().upper() for part in common.get("ImageType", "").split("\\")]
    if not 1 <= count <= FRAMES or len(each) != count:
        raise InputRefused(f"{name} tells of {count} frames and describes {len(each)}.")
    if len(kind) > 3 and kind[3] not in ("NONE", ""):
        raise InputRefused(f"{name} holds {kind[3]}, not HU; give the CT series itself.")
    stacks = {_content(own, "StackID") for own in each}, {_content(own, "TemporalPositionIndex") for own in each}
    if any(len(names) > 1 for names in stacks):
        raise InputRefused(f"{name} holds several stacks or phases; export one of them alone.")
    return [_own(common, own, shared) for own in each]


def _own(common: dict[str, str], own: Any, shared: Any) -> dict[str, str]:
    tags = dict(common, NumberOfFrames="1", AcquisitionNumber=_content(own, "FrameAcquisitionNumber"))
    for sequence, keywords in _GROUPS.items():
        group = (own.get(sequence) or shared.get(sequence) or [None])[0]
        tags.update({k: text(group, k) for k in keywords if group is not None and k in group})
    return tags


def _content(own: Any, keyword: str) -> str:
    content = own.get("FrameContentSequence")
    return text(content[0], keyword) if content and keyword in content[0] else ""


def _pixels(image: Slice, count: int) -> list[memoryview]:
    """The bytes of each frame, uncompressed."""
    rows, columns = image.whole("Rows"), image.whole("Columns")
    size = 2 * rows * columns
    room().refuse_larger(image.name, size * count)
    if image.header.compressed:
        raw: memoryview | None = memoryview(decompressed(image, (count, rows, columns)))
    else:
        raw = image.header.pixels
    if raw is None or image.whole("BitsAllocated") != 16 or not size * count <= len(raw) <= size * count + 1:
        got = 0 if raw is None else len(raw)
        raise InputRefused(f"{image.name} holds {got} bytes of pixels, not the {size * count} of its {count} frames.")
    return [raw[k * size : (k + 1) * size] for k in range(count)]
