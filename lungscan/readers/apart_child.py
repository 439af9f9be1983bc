"""The child's side of `lungscan.readers.apart`: pydicom and its codecs, under limits on memory and time, with no file to
write to."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

import numpy as np
import pydicom

from lungscan.errors import InputRefused
from lungscan.readers.apart import MESSAGE
from lungscan.readers.dicom_frames import frame_tags
from lungscan.readers.dicom_tags import IMPLICIT, INDEX, NAMES, NATIVE, text

Answer = tuple[dict[str, Any], Iterator[bytes], int]
"""What goes back: the text, the bytes that follow in pieces, and how many they are."""


def serve(most_bytes: int) -> None:
    """Say that it is ready, then answer questions from stdin on stdout until stdin ends."""
    _confine(most_bytes)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a codec's chatter must not mix with answers
    warnings.simplefilter("ignore")  # pydicom warns of values that are checked where they are used
    out.write(MESSAGE.pack(0, 0))
    out.flush()
    while head := sys.stdin.buffer.read(MESSAGE.size):
        length, more = MESSAGE.unpack(head)
        question = json.loads(sys.stdin.buffer.read(length))
        _reply(out, question, sys.stdin.buffer.read(more))


def _confine(most_bytes: int) -> None:
    if os.name != "posix":  # Windows knows no such limits; there the parent's clock alone ends a child
        return
    import resource

    for what, most in ((resource.RLIMIT_AS, most_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(what, (most, most))


def _reply(out: IO[bytes], question: dict[str, Any], data: bytes) -> None:
    if os.name == "posix":  # ends a child that hangs after its parent was killed
        signal.alarm(int(question["seconds"]) + 1)
    try:
        answer, pieces, size = _TASKS[question["task"]](question, data)
    except InputRefused as error:
        answer, pieces, size = {"refused": str(error)}, iter(()), 0
    head = json.dumps(answer).encode()
    out.write(MESSAGE.pack(len(head), size))
    out.write(head)
    for piece in pieces:
        out.write(piece)
    out.flush()
    if os.name == "posix":
        signal.alarm(0)


def _parse(question: dict[str, Any], data: bytes) -> Answer:
    """Tags, transfer syntax and uncompressed pixels of a whole file."""
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=question["bare"])
        meta = getattr(dataset, "file_meta", {})
        if "DirectoryRecordSequence" in dataset or str(meta.get("MediaStorageSOPClassUID", "")) == INDEX:
            return {"foreign": True}, iter(()), 0
        if "SOPClassUID" not in dataset:
            raise ValueError("it does not say what it is")
        tags = {keyword: text(dataset, keyword) for keyword in NAMES.values() if keyword in dataset}
        syntax = str(meta.get("TransferSyntaxUID", IMPLICIT))
        raw = dataset.PixelData if "PixelData" in dataset else None
    except Exception as error:  # pydicom raises whatever broken bytes lead it into
        raise InputRefused(
            f"{question['name']} is a damaged DICOM file ({_why(error)}); get a whole copy, or take it away."
        ) from error
    pixels: bytes | None = raw if syntax in NATIVE else None
    answer = {"tags": tags, "syntax": syntax, "native": pixels is not None, "pixels": raw is not None}
    return answer, iter([pixels or b""]), len(pixels or b"")


def _frames(question: dict[str, Any], data: bytes) -> Answer:
    """The tags of each frame of an enhanced CT."""
    try:
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        return {"frames": frame_tags(question["name"], dataset, question["tags"])}, iter(()), 0
    except InputRefused:
        raise
    except Exception as error:
        raise InputRefused(f"{question['name']}: its functional groups do not place every frame ({_why(error)}).") from error


def _decode(question: dict[str, Any], data: bytes) -> Answer:
    """Pixels as their codec stored them, 16 bits each, frame by frame."""
    from pydicom.pixels import pixel_array

    shape = (int(question["rows"]), int(question["columns"]))
    several = int(question["frames"]) > 1
    try:
        dataset = pydicom.dcmread(BytesIO(data))
        first = pixel_array(dataset, raw=True, index=0 if several else None)
    except Exception as error:  # a codec may raise anything for broken data
        raise InputRefused(f"{question['name']} cannot be decompressed ({_why(error)}).") from error
    if first.shape != shape:
        raise InputRefused(f"{question['name']} decompresses to {first.shape}, not {shape}.")

    def pieces() -> Iterator[bytes]:
        yield _as_16_bits(first)
        for k in range(1, int(question["frames"])):
            yield _as_16_bits(pixel_array(dataset, raw=True, index=k))

    return {}, pieces(), 2 * shape[0] * shape[1] * int(question["frames"])


def _as_16_bits(frame: Any) -> bytes:
    return np.ascontiguousarray(frame).astype("<u2", copy=False).tobytes()


def _why(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


_TASKS = {"parse": _parse, "frames": _frames, "decode": _decode}
