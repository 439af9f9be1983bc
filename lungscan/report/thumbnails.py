"""The nodules in the terminal: one axial picture each, two pixels a character."""

from __future__ import annotations

from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from lungscan.findings import Nodule
from lungscan.report import drawing
from lungscan.report.pictures import colour_of, inside, nodule_plane, plain
from lungscan.stages.outline import Examined, NoduleMask, nodule_masks

SIDE = 36  # pixels, and characters across
MOST = 12

_UPPER_HALF = "▀"


def show(examined: Examined, console: Console) -> None:
    """Print a thumbnail of each of the first nodules; nothing where there is no terminal, no colour or no Unicode."""
    colours = console.color_system in ("truecolor", "256") and not console.no_color
    if not (console.is_terminal and colours and console.encoding.lower().startswith("utf")):
        return
    pairs = list(zip(examined.report.nodules, nodule_masks(examined), strict=True))[:MOST]
    pictures = [Group(_picture(examined, nodule, mask), _caption(nodule)) for nodule, mask in pairs]
    console.print(Padding(Columns(pictures, padding=(1, 2)), (0, 1)))


def _caption(nodule: Nodule) -> Text:
    mark = "▲ " if nodule.suspicious else ""
    return Text(f"{mark}{nodule.id}   {nodule.diameter_mm:.1f} mm, slice {nodule.slice}", "bold" if mark else "")


def _picture(examined: Examined, nodule: Nodule, mask: NoduleMask) -> Text:
    """The axial slice with its outline: the upper half of a character in one pixel's colour, the lower in the next one's."""
    plane = nodule_plane("axial", examined.volume, nodule, SIDE)
    pixels = drawing.outlined(plain(examined.volume, plane), inside(examined.volume, mask, plane), colour_of(nodule), 1.0)
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        line = Text(no_wrap=True)
        for (r, g, b), (s, h, c) in zip(upper, lower, strict=True):
            line.append(_UPPER_HALF, Style(color=Color.from_rgb(r, g, b), bgcolor=Color.from_rgb(s, h, c)))
        lines.append(line)
    return Text("\n").join(lines)
