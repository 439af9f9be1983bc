"""A child process for what is not ours to trust: DICOM that pydicom must parse, and pixels that a codec must unpack.

All other reading stays in this process, at no cost: headers are walked by our own Python, which cannot run outside its
memory, zlib and bz2 inflate under a bound that the header sets, and uncompressed pixels are bytes whose number is checked
before NumPy looks at them. What a child does (crash, hang, fill its memory) ends the child and refuses the file.

Messages go through pipes: lengths, JSON, bytes. Nothing is pickled, and what comes back must have the size asked for.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Timer
from typing import IO, Any

from lungscan.errors import InputRefused

START_SECONDS, SECONDS, FRAME_SECONDS = 60.0, 5.0, 0.1
"""What the start of a child may take on a busy machine, then one answer, and each further frame of it; a slice of 512 x 512
takes a hundredth of a second."""

BYTES = 2**30
"""Address space of a child, which starts with a sixth of it."""

MESSAGE = struct.Struct("<IQ")
"""Ahead of each message: how many bytes of JSON, and how many more."""

TEXT_BYTES = 2**24

_START = "import sys; sys.path[:] = {path!r}; from lungscan.readers.apart_child import serve; serve({limit})"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Child:
    """A process that answers questions about one file at a time, and is started again when a file has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> subprocess.Popen[bytes]:
        """Returns at once; the child gets ready while this process goes on."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, limit=BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
            )
        return self._process

    def ask(self, name: str, question: dict[str, Any], data: bytes, size: int | None = None) -> tuple[Any, bytearray]:
        """The child's answer about a file's bytes, and the bytes that go with it: `size` of them, where that is known.

        Raises InputRefused with the child's reason, or when it crashes, hangs or asks for too much memory.
        """
        process = self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        seconds = SECONDS + FRAME_SECONDS * int(question.get("frames", 1))
        timer = Timer(START_SECONDS, process.kill)
        timer.start()
        try:
            if not self._ready:
                _exactly(process.stdout, MESSAGE.size)
                self._ready = True
            timer.cancel()
            timer = Timer(seconds, process.kill)
            timer.start()
            text = json.dumps({"name": name, "seconds": seconds, **question}).encode()
            process.stdin.write(MESSAGE.pack(len(text), len(data)))
            process.stdin.write(text)
            process.stdin.write(data)
            process.stdin.flush()
            length, more = MESSAGE.unpack(_exactly(process.stdout, MESSAGE.size))
            if length > TEXT_BYTES or more > (len(data) if size is None else size):
                raise EOFError
            answer = json.loads(_exactly(process.stdout, length))
            blob = _exactly(process.stdout, more)
        except (OSError, EOFError, ValueError) as error:
            late = not timer.is_alive()
            self.close()
            why = f"took longer than {seconds:.0f} s" if late else _end(process.returncode)
            raise InputRefused(f"{name} cannot be decoded: its decoder {why}; get a whole copy.") from error
        finally:
            timer.cancel()
        if "refused" in answer:
            raise InputRefused(str(answer["refused"]))
        if size is not None and len(blob) != size:
            raise InputRefused(f"{name} unpacks to {len(blob)} bytes of pixels, not the {size} that its size asks for.")
        return answer, blob

    def close(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            process.wait()


def child() -> Child:
    """The child of the reading that goes on: it lives within `at_hand` alone, so that none outlives its reading."""
    return _CHILD.get()


@contextmanager
def at_hand() -> Iterator[None]:
    """A child for all that is read within, ended with it; within another such context, that one's."""
    if _CHILD.get(None) is not None:
        yield
        return
    own = Child()
    token = _CHILD.set(own)
    try:
        yield
    finally:
        _CHILD.reset(token)
        own.close()


_CHILD: ContextVar[Child] = ContextVar("child")


def _exactly(pipe: IO[bytes], count: int) -> bytearray:
    out = bytearray(count)
    view = memoryview(out)
    while view:
        got = pipe.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        view = view[got:]
    return out


def _end(code: int) -> str:
    return f"crashed (signal {-code})" if code < 0 else "gave up"
