"""One array of a training cache as a file: `.npy`, mapped into memory, or `.b2nd`, compressed by Blosc2.

A compressed array takes a quarter of the disk and is read whole into memory when it is opened, which a map is not.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan import files
from lungscan.errors import EngineUnavailable

PLAIN, COMPRESSED = ".npy", ".b2nd"

SLICES = 32
"""Of a chunk; each slice is a block. Fixed: Blosc2's own choice follows the processor, and bytes should not."""


def blosc2() -> Any:
    """The module. Raises EngineUnavailable where it is not installed."""
    try:
        import blosc2
    except ImportError as error:
        raise EngineUnavailable(
            "a compressed cache needs blosc2, which is not installed: pip install 'lungscan-ct[train]'."
        ) from error
    return blosc2


def write(folder: Path, name: str, array: npt.NDArray[Any], *, compress: bool) -> None:
    """Write folder/name, whole or not at all. The same array gives the same bytes."""
    array = np.ascontiguousarray(array)
    if compress:
        files.write_bytes(folder / f"{name}{COMPRESSED}", _compressed(array))
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    files.write_bytes(folder / f"{name}{PLAIN}", buffer.getvalue())


def read(folder: Path, name: str) -> npt.NDArray[Any]:
    """The array, read-only. Raises EngineUnavailable for a compressed one without blosc2."""
    compressed = folder / f"{name}{COMPRESSED}"
    if not compressed.is_file():
        mapped: npt.NDArray[Any] = np.load(folder / f"{name}{PLAIN}", mmap_mode="r", allow_pickle=False)
        return mapped
    array: npt.NDArray[Any] = blosc2().open(str(compressed), mode="r")[:]
    array.flags.writeable = False
    return array


def _compressed(array: npt.NDArray[Any]) -> bytes:
    """Bits shuffled, then Zstandard: of what was tried on LIDC-IDRI-0001, the smallest in under a second."""
    b = blosc2()
    how = b.CParams(codec=b.Codec.ZSTD, clevel=5, filters=[b.Filter.BITSHUFFLE], nthreads=1)
    slices, rows, columns = array.shape
    out: bytes = b.asarray(
        array, chunks=(min(SLICES, slices), rows, columns), blocks=(1, rows, columns), cparams=how
    ).to_cframe()
    return out
