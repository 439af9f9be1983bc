"""ACR Lung-RADS v2022: the rows of the table that size decides.

Christensen et al., ACR Lung-RADS v2022: assessment categories and management recommendations, JACR 21:473-488, 2024. Sizes
are mean diameters in whole tenths of a millimetre, intervals half open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.rounding import in_mm


class Status(StrEnum):
    """A nodule beside the earlier scan. Stable ones may be smaller; a growing part-solid one grows in its solid part."""

    baseline = "baseline"
    new = "new"
    stable = "stable"
    growing = "growing"
    slowly_growing = "slowly growing"


@dataclass(frozen=True)
class Row:
    """The category of the row that fired, None where the table has no such row."""

    category: str | None
    because: str
    remark: str = ""


Steps = tuple[tuple[int, str], ...]
"""Categories in the order of size; each ends under its limit in tenths of a millimetre."""

_OPEN = 10**9

SOLID: dict[Status, Steps] = {
    Status.baseline: ((60, "2"), (80, "3"), (150, "4A"), (_OPEN, "4B")),
    Status.new: ((40, "2"), (60, "3"), (80, "4A"), (_OPEN, "4B")),
    Status.growing: ((80, "4A"), (_OPEN, "4B")),
}
SOLID_PART: dict[Status, Steps] = {
    Status.baseline: ((60, "3"), (80, "4A"), (_OPEN, "4B")),
    Status.new: ((40, "4A"), (_OPEN, "4B")),
    Status.growing: ((40, "4A"), (_OPEN, "4B")),
}
WHOLE_PART_SOLID: dict[Status, str] = {Status.baseline: "2", Status.new: "3"}
PART_SOLID_LIMIT = 60
GROUND_GLASS: Steps = ((300, "2"), (_OPEN, "3"))

NEW_PART_SOLID = "its solid part is taken as new (limit 4 mm), as the table reads; some calculators differ"


def by_size(kind: Kind, mean: int, solid: int | None, status: Status) -> Row:
    """The row for a nodule of this kind (calcified counts as solid).

    mean, solid : mean diameter of the whole and of the solid part, in tenths of a millimetre

    Raises ValueError for a part-solid nodule without the size of its solid part.
    """
    if kind is Kind.ground_glass:
        return _ground_glass(mean, status)
    if status is Status.slowly_growing:
        return Row("4B", f"{kind}, {status} over several screens")
    listed = Status.baseline if status is Status.stable else status
    if kind is Kind.part_solid:
        if solid is None:
            raise ValueError("a part-solid nodule needs the size of its solid part")
        return _part_solid(mean, solid, status, listed)
    category, span = _step(SOLID[listed], mean)
    return Row(category, f"solid, {status}, {span}")


def _part_solid(mean: int, solid: int, status: Status, listed: Status) -> Row:
    if listed is not Status.growing and mean < PART_SOLID_LIMIT:
        return Row(WHOLE_PART_SOLID[listed], f"part-solid, {status}, {in_mm(mean)} mm < {in_mm(PART_SOLID_LIMIT)} mm")
    category, span = _step(SOLID_PART[listed], solid)
    whole = "" if listed is Status.growing else f", {in_mm(mean)} mm >= {in_mm(PART_SOLID_LIMIT)} mm"
    part = "new or growing solid part" if listed is Status.growing else "solid part"
    said = "part-solid" if listed is Status.growing else f"part-solid, {status}"
    return Row(category, f"{said}{whole}, {part} {span}", NEW_PART_SOLID if listed is Status.new else "")


def _ground_glass(mean: int, status: Status) -> Row:
    if status in (Status.stable, Status.slowly_growing):
        return Row("2", f"ground glass, {status}, {in_mm(mean)} mm, any size")
    category, span = _step(GROUND_GLASS, mean)
    if status is Status.growing and category != "2":
        return Row(None, f"the table has no row for growing ground glass of {span}")
    return Row(category, f"ground glass, {status}, {span}")


def _step(steps: Steps, size: int) -> tuple[str, str]:
    """The category whose interval holds a size, and the interval in words: "7.2 mm >= 6 and < 8 mm"."""
    low = 0
    for limit, category in steps:
        if size < limit:
            bounds = ([f">= {in_mm(low)}"] if low else []) + ([f"< {in_mm(limit)}"] if limit < _OPEN else [])
            return category, f"{in_mm(size)} mm {' and '.join(bounds)} mm"
        low = limit
    raise AssertionError("unreachable: the last interval is open")
