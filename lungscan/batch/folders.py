"""A folder and all below it → its scans: each folder with CT slices, each zip, each volume file.

A folder's DICOM files are looked into only until the first CT slice. Where folders side by side hold slices of one series
that are no copies, an export has spread one scan over them: that is one scan, not several parts of one.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lungscan.batch.places import File, Place, stem

VOLUMES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".zip")
"""Names of files that are a scan by themselves."""

DETACHED = (".mhd", ".nhdr", ".hdr")
"""Headers whose voxels may lie in a file beside them."""

_TAGS = ["SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SOPInstanceUID"]


@dataclass(frozen=True)
class Found:
    """A scan in a place, before it has its name: `label` is its path from where the search began."""

    path: str
    label: str
    series: str | None
    stamp: str


@dataclass(frozen=True)
class Image:
    """What a DICOM file says of itself. A damaged one counts as a slice: its reader must say what is wrong with it."""

    series: str
    instance: str
    ct_slice: bool


class Headers:
    """The images of DICOM files, each file read once."""

    def __init__(self) -> None:
        self._known: dict[File, Image | None] = {}

    def images(self, place: Place, files: Sequence[File]) -> Iterator[Image]:
        """Those of some files, one after another, so that whoever has seen enough reads no further."""
        for file in files:
            if file not in self._known:
                self._known[file] = _image(place, file)
            image = self._known[file]
            if image is not None:
                yield image


@dataclass(frozen=True)
class _Folder:
    path: str
    files: list[File]
    first: Image

    @property
    def parent(self) -> str:
        return self.path.rpartition("/")[0]


def below(place: Place, root: str, headers: Headers, skip: Callable[[str], bool], passed_over: list[str]) -> Iterator[Found]:
    """The scans at and below a folder. Folders with DICOM images but no CT slice are told in `passed_over`."""
    folders: list[_Folder] = []
    for path, files in place.folders(root):
        if skip(path):
            continue
        for file in files:
            if file.name.lower().endswith(VOLUMES):
                yield Found(file.path, _relative(file.path, root), None, stamp(with_its_data(file, files)))
        other = False
        for image in headers.images(place, files):
            if image.ct_slice:
                folders.append(_Folder(path, files, image))
                break
            other = True
        else:
            if other:
                passed_over.append(path)
    for parts in _joined(folders):
        first = parts[0]
        where = first.parent if len(parts) > 1 else first.path
        series = first.first.series if len(parts) > 1 else _series(place, first, folders, headers)
        yield Found(where, _relative(first.path, root), series, stamp([file for part in parts for file in part.files]))


def stamp(files: Sequence[File]) -> str:
    """Changes when a file comes, goes, or changes its size or its version."""
    told = "\n".join(f"{file.name}\t{file.size}\t{file.version}" for file in files)
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def with_its_data(file: File, beside: Sequence[File]) -> list[File]:
    """A volume file, and those beside it under its stem where its voxels lie in another file."""
    if not file.name.lower().endswith(DETACHED):
        return [file]
    return [other for other in beside if stem(other.name) == stem(file.name)]


def _joined(folders: Sequence[_Folder]) -> Iterator[list[_Folder]]:
    """Folders by scan: those of one parent whose first slices are different images of one series go together."""
    groups: dict[tuple[str, str], list[_Folder]] = defaultdict(list)
    for folder in folders:
        groups[folder.parent, folder.first.series].append(folder)
    for (_, series), group in groups.items():
        if series and len({folder.first.instance for folder in group}) == len(group):
            yield group
        else:
            yield from ([folder] for folder in group)


def _series(place: Place, folder: _Folder, folders: Sequence[_Folder], headers: Headers) -> str | None:
    """The series to ask for: the largest of this folder, where the reader would find those of the folders below too."""
    if not any(other.path.startswith(folder.path.rstrip("/") + "/") for other in folders):
        return None
    here = Counter(image.series for image in headers.images(place, folder.files) if image.ct_slice and image.series)
    return min(here, key=lambda series: (-here[series], series), default=None)


def _image(place: Place, file: File) -> Image | None:
    import pydicom

    from lungscan.readers.dicom_header import CT_CLASSES, looks_like_dicom

    if file.name.upper() == "DICOMDIR":
        return None
    try:
        with place.open(file) as opened:
            if not looks_like_dicom(opened.read(132)):
                return None
            opened.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the reader looks at what breaks DICOM's rules
                header = pydicom.dcmread(opened, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
                told = {tag: str(header.get(tag, "")) for tag in _TAGS}
                kinds = {str(kind).upper() for kind in header.get("ImageType") or ()}
    except Exception:  # pydicom raises whatever broken bytes lead it into
        return Image("", file.name, ct_slice=True)
    slices = told["SOPClassUID"] in CT_CLASSES and told["Modality"].upper() in ("", "CT") and "LOCALIZER" not in kinds
    return Image(told["SeriesInstanceUID"], told["SOPInstanceUID"], slices or not told["SOPClassUID"])


def _relative(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).strip("/")
