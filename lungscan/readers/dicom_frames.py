"""Enhanced CT: one object of many frames → one `Slice` a frame (DICOM PS3.3, C.7.6.16).

What places and scales a frame stands in the functional groups, those of the frame before those that all frames share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from lungscan.errors import InputRefused
from lungscan.readers.dicom_header import ENHANCED_CT, text
from lungscan.readers.dicom_pixels import decompressed, is_compressed
from lungscan.readers.dicom_slice import Slice

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
    if image.text("SOPClassUID") not in ENHANCED_CT or image.header.dataset is None:
        raise InputRefused(f"{image.name} is a multi-frame image; convert it to single slices first.")
    try:
        tags = list(_tags(image))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputRefused(f"{image.name}: its functional groups do not place every frame ({error}).") from error
    pixels = _pixels(image, len(tags))
    syntax = ExplicitVRLittleEndian if is_compressed(image) else image.header.syntax
    native = replace(image.header, syntax=syntax, dataset=None)
    return [Slice(f"{image.name} frame {k + 1}", replace(native, tags=own, pixels=pixels[k])) for k, own in enumerate(tags)]


def _tags(image: Slice) -> Iterator[dict[str, str]]:
    dataset: Any = image.header.dataset
    count = image.frames
    shared = dataset.SharedFunctionalGroupsSequence[0]
    each = dataset.PerFrameFunctionalGroupsSequence
    kind = [part.strip().upper() for part in image.text("ImageType").split("\\")]
    if not 1 <= count <= FRAMES or len(each) != count:
        raise InputRefused(f"{image.name} tells of {count} frames and describes {len(each)}.")
    if len(kind) > 3 and kind[3] not in ("NONE", ""):
        raise InputRefused(f"{image.name} holds {kind[3]}, not HU; give the CT series itself.")
    stacks = {_content(own, "StackID") for own in each}, {_content(own, "TemporalPositionIndex") for own in each}
    if any(len(names) > 1 for names in stacks):
        raise InputRefused(f"{image.name} holds several stacks or phases; export one of them alone.")
    for own in each:
        tags = dict(image.header.tags, NumberOfFrames="1", AcquisitionNumber=_content(own, "FrameAcquisitionNumber"))
        for sequence, keywords in _GROUPS.items():
            group = (own.get(sequence) or shared.get(sequence) or [None])[0]
            tags.update({k: text(group, k) for k in keywords if group is not None and k in group})
        yield tags


def _content(own: Any, keyword: str) -> str:
    content = own.get("FrameContentSequence")
    return text(content[0], keyword) if content and keyword in content[0] else ""


def _pixels(image: Slice, count: int) -> list[memoryview]:
    """The bytes of each frame, uncompressed."""
    rows, columns = image.whole("Rows"), image.whole("Columns")
    raw = image.header.pixels
    size = 2 * rows * columns
    if is_compressed(image):
        shape = (count, rows, columns) if count > 1 else (rows, columns)
        raw = memoryview(np.ascontiguousarray(decompressed(image, shape)).astype("<u2").tobytes())
    if raw is None or image.whole("BitsAllocated") != 16 or not size * count <= len(raw) <= size * count + 1:
        got = 0 if raw is None else len(raw)
        raise InputRefused(f"{image.name} holds {got} bytes of pixels, not the {size * count} of its {count} frames.")
    return [raw[k * size : (k + 1) * size] for k in range(count)]
