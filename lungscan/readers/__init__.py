"""Files → `Volume`: one CT series of a DICOM folder or zip, or a MetaIO, NIfTI or NRRD file. One file a format.

A number that fixes place or density is read, checked and finite, or the input is refused: no default stands in for it.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lungscan.errors import InputRefused, UsageError
from lungscan.readers import dicom, metaio, nifti, nrrd
from lungscan.readers.apart import at_hand
from lungscan.readers.archive import Member, is_zip, members
from lungscan.readers.dicom_slice import Slice
from lungscan.readers.gate import gated
from lungscan.readers.room import AMPLE, Room, within
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
    modality: str
    description: str
    images: int
    shape_irc: Shape | None = None
    spacing_irc_mm: Triple | None = None
    kernel: str = ""
    hu_range: tuple[int, int] | None = None
    notices: tuple[Notice, ...] = ()
    refusal: str | None = None


def read(path: str | Path, series: str | None = None, room: Room = AMPLE) -> Volume:
    """One chest CT as int16 HU with its geometry.

    Of several DICOM series the CT with the most slices is read, and the others are named in `source.skipped_series`;
    `series` chooses one by its UID. Raises UsageError when the path or the series does not exist, InputRefused when what
    is there cannot be read rightly or needs more memory than `room` gives.
    """
    there = _existing(path)
    with _bounded(there), within(room):
        volume = _read(there, series)
    if series is not None and volume.source.series_uid != series:
        raise UsageError(f"--series {series} is not in {path}; there is: {volume.source.series_uid}.")
    return gated(replace(volume, source=replace(volume.source, path=str(path))))


def inspect(path: str | Path) -> list[SeriesFacts]:
    """Every series of a file or folder, readable or not. Raises UsageError when the path does not exist."""
    try:
        there = _existing(path)
        with _bounded(there):
            if there.is_file() and (suffix := _volume_suffix(there.name)) is not None:
                return [_of_volume(str(path), Member.of(there), suffix, partial(Member.beside, there))]
            if images := _dicom_slices(there, []):
                kind = _kind(there)
                return [_facts(str(path), uid, own, kind) for uid, own in dicom.by_series(images).items()]
            inside = _inside(there)
            found = [_of_volume(str(path), m, suffix, _neighbours(m, inside)) for m, suffix in _volumes(inside)]
        return found or [_refused(str(path), there.name, _nothing(there))]
    except InputRefused as error:
        return [_refused(str(path), Path(path).name, error)]


@contextmanager
def _bounded(path: Path) -> Iterator[None]:
    """A child process for what is not read here; and a header that asks for what no machine has is the file's fault."""
    try:
        with at_hand():
            yield
    except (MemoryError, RecursionError, OverflowError) as error:
        raise InputRefused(f"{path} cannot be read: its header asks for too much ({type(error).__name__}).") from error


def _of_volume(path: str, member: Member, suffix: str, beside: Callable[[str], Member]) -> SeriesFacts:
    try:
        volume = _decoded(member, suffix, beside)
        return _described(path, member.name, gated(replace(volume, source=replace(volume.source, path=member.name))))
    except InputRefused as error:
        return _refused(path, member.name, error)


def _refused(path: str, name: str, error: InputRefused) -> SeriesFacts:
    return SeriesFacts(path, "", "", "", name, 0, refusal=str(error))


def _facts(path: str, uid: str, images: list[Slice], kind: str) -> SeriesFacts:
    description = images[0].label
    try:
        volume = gated(dicom.volume(path, images, kind))
    except InputRefused as error:
        return SeriesFacts(path, uid, kind, images[0].text("Modality"), description, len(images), refusal=str(error))
    return _described(path, description, volume)


def _described(path: str, description: str, volume: Volume) -> SeriesFacts:
    hu = volume.hu
    return SeriesFacts(
        path=path,
        series_uid=volume.source.series_uid,
        format=volume.source.format,
        modality="CT",
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
    try:
        mode = there.stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no file or folder {path}.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputRefused(f"{path} is neither a regular file nor a folder.")
    return there.parent if there.name.upper() == "DICOMDIR" else there


def _read(path: Path, series: str | None) -> Volume:
    suffix = _volume_suffix(path.name)
    if path.is_file() and suffix is not None:
        return _decoded(Member.of(path), suffix, partial(Member.beside, path))
    foreign: list[str] = []
    images = _dicom_slices(path, foreign)
    if images:
        volume = dicom.chosen(str(path), images, series, _kind(path))
        return replace(volume, notices=(*volume.notices, *dicom.passed_over(foreign)))
    inside = _inside(path)
    volumes = _volumes(inside)
    if len(volumes) > 1:
        raise InputRefused(f"{path} holds {len(volumes)} volumes ({volumes[0][0].name}, ...); give one of them.")
    if not volumes:
        raise _nothing(path)
    member, suffix = volumes[0]
    return _decoded(member, suffix, _neighbours(member, inside))


def _nothing(path: Path) -> InputRefused:
    return InputRefused(f"{path} holds no DICOM images and no MetaIO, NIfTI or NRRD volume.")


def _kind(path: Path) -> str:
    return "dicom-zip" if path.is_file() and is_zip(path) else "dicom"


def _inside(path: Path) -> list[Member]:
    return list(members(path)) if path.is_dir() or is_zip(path) else []


def _volumes(inside: Sequence[Member]) -> list[tuple[Member, str]]:
    return [(member, suffix) for member in inside if (suffix := _volume_suffix(member.name)) is not None]


def _neighbours(member: Member, inside: Sequence[Member]) -> Callable[[str], Member]:
    """The files in the member's own folder, by name."""
    folder = {m.name.rpartition("/")[2]: m for m in inside if m.folder == member.folder}
    return folder.__getitem__


def _decoded(member: Member, suffix: str, beside: Callable[[str], Member]) -> Volume:
    def same_folder(name: str) -> Member:
        if not name or name != Path(name).name or "\\" in name:
            raise InputRefused(f"{member.name} points to {name!r} outside its own folder; put its data beside it.")
        try:
            return beside(name)
        except KeyError:
            raise InputRefused(f"{member.name} needs {name} beside it, which is not there.") from None

    return _DECODERS[suffix](member, same_folder)


def _dicom_slices(path: Path, foreign: list[str]) -> list[Slice]:
    """The images in a folder or zip; for a single DICOM file those of its folder that belong to its series."""
    if path.is_dir() or is_zip(path):
        return dicom.slices(members(path), foreign)
    path = path.resolve()
    own = dicom.slices([Member.of(path)])
    if not own:
        return own
    return [image for image in dicom.slices(members(path.parent, depth=0)) if image.series_uid == own[0].series_uid]


def _volume_suffix(name: str) -> str | None:
    lowered = name.lower()
    return next((suffix for suffix in sorted(_DECODERS, key=len, reverse=True) if lowered.endswith(suffix)), None)
