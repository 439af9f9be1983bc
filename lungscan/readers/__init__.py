"""Files → `Volume`: one CT series of a DICOM folder or zip, or a MetaIO, NIfTI or NRRD file. One file a format.

A number that fixes place or density is read, checked and finite, or the input is refused: no default stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import dicom, metaio, nifti, nrrd
from lungscan.readers.archive import Member, members
from lungscan.readers.gate import gated
from lungscan.volume import Notice, Shape, Triple, Volume

_DECODERS: dict[str, Callable[[Member, Callable[[str], Member]], Volume]] = {
    ".mhd": metaio.read,
    ".mha": metaio.read,
    ".nii": nifti.read,
    ".nii.gz": nifti.read,
    ".hdr": nifti.read,
    ".nrrd": nrrd.read,
    ".nhdr": nrrd.read,
}


@dataclass(frozen=True)
class SeriesFacts:
    """What one series of a file or folder holds; `refusal` says why it cannot be read."""

    path: str
    series_uid: str
    format: str
    description: str
    images: int
    shape_irc: Shape | None = None
    spacing_irc_mm: Triple | None = None
    kernel: str = ""
    hu_range: tuple[int, int] | None = None
    notices: tuple[Notice, ...] = ()
    refusal: str | None = None


def read(path: str | Path, series: str | None = None) -> Volume:
    """One chest CT as int16 HU with its geometry.

    Of several DICOM series the CT with the most slices is read, and the others are named in `source.skipped_series`;
    `series` chooses one by its UID. Raises UsageError when the path or the series does not exist, InputRefused when what
    is there cannot be read rightly.
    """
    there = _existing(path)
    try:
        volume = _read(there, series)
    except (MemoryError, RecursionError, OverflowError) as error:
        raise InputRefused(f"{there} cannot be read: its header asks for too much ({type(error).__name__}).") from error
    volume = replace(volume, source=replace(volume.source, path=str(path)))
    return gated(volume)


def inspect(path: str | Path) -> list[SeriesFacts]:
    """Every series of a file or folder, readable or not."""
    there = _existing(path)
    if _volume_suffix(there.name) is None and (slices := _dicom_slices(there)):
        return [_facts(str(path), uid, images) for uid, images in dicom.by_series(slices).items()]
    try:
        volume = read(path)
    except InputRefused as error:
        return [SeriesFacts(str(path), "", "", there.name, 0, refusal=str(error))]
    return [_described(str(path), there.name, volume)]


def _facts(path: str, uid: str, images: list[dicom.Slice]) -> SeriesFacts:
    description = images[0].label
    try:
        volume = gated(dicom.volume(path, images))
    except InputRefused as error:
        return SeriesFacts(path, uid, "dicom", description, len(images), refusal=str(error))
    return _described(path, description, volume)


def _described(path: str, description: str, volume: Volume) -> SeriesFacts:
    hu = volume.hu
    return SeriesFacts(
        path=path,
        series_uid=volume.source.series_uid,
        format=volume.source.format,
        description=description,
        images=hu.shape[0],
        shape_irc=volume.grid.shape,
        spacing_irc_mm=volume.grid.spacing_irc_mm,
        kernel=volume.source.facts.get("kernel", ""),
        hu_range=(int(np.min(hu)), int(np.max(hu))),
        notices=volume.notices,
    )


def _existing(path: str | Path) -> Path:
    there = Path(path)
    if not there.exists():
        raise UsageError(f"there is no file or folder {path}.")
    if not (there.is_file() or there.is_dir()):
        raise InputRefused(f"{path} is neither a regular file nor a folder.")
    return there


def _read(path: Path, series: str | None) -> Volume:
    suffix = _volume_suffix(path.name)
    if path.is_file() and suffix is not None:
        return _decoded(Member.of(path), suffix, lambda name: Member.of(path.parent / name))
    slices = _dicom_slices(path, series_of_file=True)
    if slices:
        return dicom.chosen(str(path), slices, series)
    inside = list(members(path)) if path.is_dir() or _is_zip(path) else []
    volumes = [(m, s) for m in inside if (s := _volume_suffix(m.name)) is not None]
    if len(volumes) == 1:
        (member, suffix), beside = volumes[0], {m.name.rsplit("/", 1)[-1]: m for m in inside}
        return _decoded(member, suffix, lambda name: beside[name])
    if volumes:
        raise InputRefused(f"{path} holds {len(volumes)} volumes ({volumes[0][0].name}, ...); give one of them.")
    raise InputRefused(f"{path} holds no DICOM images and no MetaIO, NIfTI or NRRD volume.")


def _decoded(member: Member, suffix: str, beside: Callable[[str], Member]) -> Volume:
    def same_folder(name: str) -> Member:
        if not name or name != Path(name).name or "\\" in name:
            raise InputRefused(f"{member.name} points to {name!r} outside its own folder; put its data beside it.")
        try:
            return beside(name)
        except KeyError:
            raise InputRefused(f"{member.name} needs {name} beside it, which is not there.") from None

    return _DECODERS[suffix](member, same_folder)


def _dicom_slices(path: Path, *, series_of_file: bool = False) -> list[dicom.Slice]:
    """The images in a folder or zip; for a single DICOM file those of its folder that belong to its series."""
    if path.is_dir() or _is_zip(path):
        return dicom.slices(members(path))
    own = dicom.slices([Member.of(path)])
    if not own or not series_of_file:
        return own
    uid = own[0].series_uid
    return [s for s in dicom.slices(members(path.parent, depth=0)) if s.series_uid == uid]


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _volume_suffix(name: str) -> str | None:
    lowered = name.lower()
    return next((suffix for suffix in sorted(_DECODERS, key=len, reverse=True) if lowered.endswith(suffix)), None)
