"""The pixels of one DICOM image → HU, each image by its own tags.

Uncompressed pixels go from the file's bytes straight into their slice of the volume; compressed ones through a codec, in a
child process. HU = stored * RescaleSlope + RescaleIntercept (DICOM PS3.3, C.11.1.1.2), rounded once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungscan.errors import InputRefused
from lungscan.readers.apart import child
from lungscan.readers.dicom_slice import Slice
from lungscan.readers.dicom_tags import BIG_ENDIAN
from lungscan.readers.gate import as_hu
from lungscan.volume import AIR_HU, Notice

_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91")
_CLIPPED_SHARE = 0.01

Stored = npt.NDArray[np.int16] | npt.NDArray[np.uint16]


def decode(image: Slice, out: npt.NDArray[np.int16]) -> list[Notice]:
    """Write the HU of one image into its (R,C) slice of the volume, floored at -1024."""
    image = image.at_hand()
    _check(image)
    stored, notices = _stored(image, out.shape)
    slope, intercept = _rescale(image, notices)
    if _adds_exactly(image, stored, slope, intercept):
        np.maximum(stored.view(np.int16), np.array(AIR_HU - int(intercept), np.int16), out=out)
        if intercept != 0:
            np.add(out, np.array(int(intercept), np.int16), out=out)
    else:
        np.maximum(_scaled(image, stored, slope, intercept, notices), AIR_HU, out=out)
    _pad(image, stored, (slope, intercept), out, notices)
    return notices


def _check(image: Slice) -> None:
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
    notices = []
    if image.header.syntax in _LOSSY or image.text("LossyImageCompression") == "01":
        ratio = image.text("LossyImageCompressionRatio")
        notices.append(
            Notice("lossy", f"The images are lossily compressed{f' ({ratio}:1)' if ratio else ''}: HU are not exact.")
        )
    wanted = 2 * shape[0] * shape[1]
    raw = memoryview(decompressed(image, (1, *shape))) if image.header.compressed else image.header.pixels
    order = ">" if image.header.syntax == BIG_ENDIAN else "<"
    if raw is None or not wanted <= len(raw) <= wanted + 1:
        got = 0 if raw is None else len(raw)
        raise InputRefused(f"{image.name} holds {got} bytes of pixels, not the {wanted} that its size asks for.")
    values = np.frombuffer(raw, f"{order}i2" if signed else f"{order}u2", count=wanted // 2).reshape(shape)
    values = values.astype(np.int16 if signed else np.uint16, copy=False)
    spare = 16 - image.whole("BitsStored")
    if spare:
        values = (values << spare) >> spare
    return values, notices


def decompressed(image: Slice, shape: tuple[int, ...]) -> bytearray:
    """Pixels of the frames (N,R,C) of an image as its codec stored them, 16 bits each, little endian."""
    frames, rows, columns = shape
    question = {"task": "decode", "frames": frames, "rows": rows, "columns": columns}
    return child().ask(image.name, question, image.header.file or b"", 2 * frames * rows * columns)[1]


def _rescale(image: Slice, notices: list[Notice]) -> tuple[float, float]:
    """Slope and intercept; signed pixels without either count as HU, which the gate then tests on air."""
    absent = not image.text("RescaleSlope") and not image.text("RescaleIntercept")
    if absent and image.whole("PixelRepresentation") == 1:
        notices.append(Notice("no-rescale", "The images give no rescale slope and intercept; their values are read as HU."))
        return 1.0, 0.0
    slope, intercept = image.number("RescaleSlope"), image.number("RescaleIntercept")
    if slope == 0:
        raise InputRefused(f"{image.name}: RescaleSlope is 0, so all HU would be alike.")
    if slope < 0:
        notices.append(Notice("negative-slope", "RescaleSlope is negative."))
    return slope, intercept


def _adds_exactly(image: Slice, stored: Stored, slope: float, intercept: float) -> bool:
    """Whether HU are stored values plus a whole number, and neither they nor the sums leave int16."""
    if slope != 1 or intercept != int(intercept) or abs(intercept) > 32768 + AIR_HU:
        return False
    if intercept <= 0 and (stored.dtype == np.int16 or image.whole("BitsStored") < 16):
        return True
    return int(stored.max()) + max(int(intercept), 0) <= 32767


def _scaled(image: Slice, stored: Stored, slope: float, intercept: float, notices: list[Notice]) -> npt.NDArray[np.int16]:
    with np.errstate(over="ignore"):
        hu = stored.astype(np.float64) * slope + intercept
    over = hu > 32767
    if over.mean() > _CLIPPED_SHARE:
        raise InputRefused(f"{image.name} holds HU over 32767 in more than 1 % of its pixels.")
    if over.any():
        notices.append(Notice("clipped", "HU over 32767 were clipped."))
    return as_hu(np.minimum(hu, 32767), image.name)


def _pad(
    image: Slice, stored: Stored, rescale: tuple[float, float], out: npt.NDArray[np.int16], notices: list[Notice]
) -> None:
    """Set to -1024 what the tags say was never measured; compared as stored, in the sign of the pixels."""
    if not image.text("PixelPaddingValue"):
        return
    signed = image.whole("PixelRepresentation") == 1
    numbers = [image.whole(k) & 0xFFFF for k in ("PixelPaddingValue", "PixelPaddingRangeLimit") if image.text(k)]
    ends = [n - 0x10000 if signed and n >= 0x8000 else n for n in numbers]
    slope, intercept = rescale
    if all(end * slope + intercept <= AIR_HU for end in ends):
        return
    padding = (stored >= min(ends)) & (stored <= max(ends))
    if padding.any():
        out[padding] = AIR_HU
        notices.append(Notice("padding", f"The scanner's padding is read as {AIR_HU}."))
