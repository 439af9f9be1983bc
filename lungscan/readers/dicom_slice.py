"""One DICOM image: its header's values as checked numbers, its pixels at hand or to be read again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungscan.errors import InputRefused
from lungscan.readers.archive import Member
from lungscan.readers.dicom_header import Header, parse
from lungscan.readers.dicom_tags import CT_CLASSES

FARTHEST = 1e6
"""No number of a CT is larger: positions and sizes are in millimetres, densities in HU."""

DERIVED_VIEWS = {"MIP", "MINIP", "VRT", "PROJECTION IMAGE", "PROJECTION", "MPR_CURVED"}
"""Values of ImageType that name a rendering and not slices."""


@dataclass(frozen=True)
class Slice:
    """One DICOM image, parsed and not yet decoded; `member` is set where its pixels were let go of."""

    name: str
    header: Header
    member: Member | None = None

    def text(self, keyword: str) -> str:
        return self.header.tags.get(keyword, "")

    @property
    def series_uid(self) -> str:
        return self.text("SeriesInstanceUID")

    @property
    def is_ct(self) -> bool:
        return self.text("SOPClassUID") in CT_CLASSES and self.text("Modality").upper() in ("", "CT")

    @property
    def image_type(self) -> set[str]:
        return {part.strip().upper() for part in self.text("ImageType").split("\\")}

    @property
    def is_slice(self) -> bool:
        """A CT image that is neither a localizer nor a rendering."""
        return self.is_ct and not self.image_type & {"LOCALIZER", *DERIVED_VIEWS}

    @property
    def label(self) -> str:
        return " ".join(part for part in (self.text("Modality"), self.text("SeriesDescription")) if part)

    @property
    def frames(self) -> int:
        return self.whole("NumberOfFrames", 1)

    @property
    def pixels(self) -> memoryview | bytes | None:
        """What two copies of an image share: its pixels as they are stored, or the file where they are compressed."""
        header = self.at_hand().header
        return header.file if header.pixels is None else header.pixels

    def at_hand(self) -> Slice:
        """This image with its pixels, read again where they were let go of."""
        if self.member is None:
            return self
        header = parse(self.member.data(), self.name)
        if header is None or header.tags != self.header.tags:
            raise InputRefused(f"{self.name} changed while it was read.")
        return replace(self, header=header, member=None)

    def let_go(self, member: Member) -> Slice:
        """This image without its pixels, which can be read again from `member`."""
        return replace(self, header=replace(self.header, pixels=None, file=None), member=member)

    def number(self, keyword: str) -> float:
        """One finite number. Raises InputRefused when it is missing, empty, several or no number."""
        return self.numbers(keyword, 1)[0]

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in self.text(keyword).split("\\"))
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(abs(n) <= FARTHEST for n in numbers):
            wanted = "a number" if count == 1 else f"{count} numbers"
            said = self.text(keyword)[:60] or "missing"
            raise InputRefused(f"{self.name}: {keyword} is {said}, not {wanted}; place or HU are unknown.")
        return numbers

    def whole(self, keyword: str, default: int | None = None) -> int:
        if default is not None and not self.text(keyword):
            return default
        return int(self.number(keyword))
