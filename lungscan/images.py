"""An array on its grid as MetaIO, NRRD or NIfTI, by ITK, which turns LPS into NIfTI's RAS."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lungscan.errors import NotWritten
from lungscan.volume import Grid

_NIFTI_HEADER = 352  # bytes before the voxels, the NIfTI-1 standard's vox_offset of a single file


def write_image(values: npt.NDArray[Any], grid: Grid, path: Path, compression: int = -1) -> None:
    """Write values (I,R,C) in the format of the suffix, compressed; the same values give the same bytes.

    Not whole or not at all: make it in `lungscan.files.workshop`. ITK says nothing when the disk is full under a .nii.gz, so
    the length in its last four bytes (RFC 1952, ISIZE) is looked at. Raises NotWritten.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing(grid.spacing_irc_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction.ravel().tolist())
    try:
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=compression)
    except RuntimeError as error:
        raise NotWritten(errno.EIO, f"ITK: {str(error).strip().splitlines()[-1].strip()}", str(path)) from error
    if path.suffix == ".gz" and _length(path) != (_NIFTI_HEADER + values.nbytes) % 2**32:
        raise NotWritten(errno.EIO, "it is not whole; the disk may be full", str(path))


def _length(path: Path) -> int:
    """Bytes that a gzip file says it holds, modulo 2**32."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(), "little")
