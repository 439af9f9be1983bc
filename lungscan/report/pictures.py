"""A nodule in pictures: three planes with its outline, the heatmap beside the plain slice, and where in the chest it is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lungscan.files import write_bytes
from lungscan.findings import Nodule
from lungscan.report import drawing
from lungscan.report.drawing import Colour, Rgb
from lungscan.report.overview import Pictured, overview_panels
from lungscan.report.planes import VIEWS, Plane, Values
from lungscan.report.words import figures, position
from lungscan.stages.outline import NoduleMask, nodule_masks
from lungscan.volume import Grid, Volume

SIDE = 400  # pixels of a panel
LEAST_MM = 50.0
ROOM = 2.2
"""A panel shows so many diameters of the nodule, and at least LEAST_MM."""

_GAP, _HEAD, _CAPTION, _FOOT = 16, 84, 30, 34  # pixels of a sheet
_NOTE = "The left of axial and coronal pictures is the patient's right. Research software, not a medical device."


@dataclass(frozen=True)
class Panel:
    """One picture and what it shows."""

    name: str
    caption: str
    image: Image.Image


def write_png(examined: Pictured, folder: Path) -> list[Path]:
    """`overview.png`, and `nodule-ID.png` for each nodule; the same scan and settings give the same bytes.

    A `nodule-ID.png` of an earlier report in this folder goes, where that nodule is no longer found.
    """
    sheets = {"overview.png": overview_sheet(examined)}
    for nodule, mask in zip(examined.report.nodules, nodule_masks(examined), strict=True):
        sheets[f"nodule-{nodule.id}.png"] = nodule_sheet(examined, nodule, mask)
    for name, sheet in sheets.items():
        write_bytes(folder / name, png(sheet))
    for old in folder.glob("nodule-*.png"):
        if re.fullmatch(r"nodule-\d+\.png", old.name) and old.name not in sheets:
            old.unlink()
    return [folder / name for name in sheets]


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def nodule_panels(
    examined: Pictured, nodule: Nodule, mask: NoduleMask, side: int = SIDE, letters: int = 20
) -> Iterator[Panel]:
    """Axial, coronal and sagittal with the outline; then the axial slice plain, with the heatmap, and whole.

    side, letters : pixels of a panel's edge and of its letters' height
    """
    volume = examined.volume
    planes = {view: nodule_plane(view, volume, nodule, side) for view in VIEWS}
    for view, plane in planes.items():
        slice_ = f", slice {nodule.slice}" if view == _view_of_slices(volume.grid) else ""
        picture = drawing.outlined(plain(volume, plane), inside(volume, mask, plane), colour_of(nodule))
        yield Panel(view, f"{view}{slice_}", _marked(picture, plane, letters))
    axial = planes["axial"]
    bare = plain(volume, axial)
    yield Panel("plain", "the same axial slice, plain", _marked(bare, axial, letters))
    p = axial.sample(examined.heatmap.values, examined.heatmap.grid, outside=0)
    heat = _marked(drawing.heated(bare, p), axial, letters)
    _key(heat)
    yield Panel("heatmap", "the segmentation's probability over it", heat)
    yield Panel("whole", "the whole slice", _whole(volume, axial, nodule, letters))


def nodule_plane(view: str, volume: Volume, nodule: Nodule, side: int) -> Plane:
    """The plane through the voxels nearest to the nodule's centre, so that the axial one is a slice of the scan."""
    grid = volume.canonical().grid
    centre = grid.xyz(np.rint(grid.irc(nodule.centre_xyz_mm)))
    return Plane.of(view, grid, centre, (side, side), max(LEAST_MM, ROOM * nodule.diameter_mm) / side)


def plain(volume: Volume, plane: Plane) -> Rgb:
    """The scan in the lung window, cubic between its voxels, black outside."""
    return drawing.grey(plane.sample(volume.hu, volume.grid, outside=-np.inf, order=3))


def inside(volume: Volume, mask: NoduleMask, plane: Plane) -> Values:
    """How far each pixel lies in a nodule's outline: half on its edge."""
    return plane.sample(mask.mask, volume.grid.part(mask.box_irc), outside=0)


def nodule_sheet(examined: Pictured, nodule: Nodule, mask: NoduleMask) -> Image.Image:
    """All panels of a nodule under its figures."""
    low, high = drawing.LUNG_WINDOW_HU
    window = f"lung window, level {(low + high) // 2}, width {high - low} HU"
    sheet = _sheet(
        list(nodule_panels(examined, nodule, mask)), 3, f"{position(nodule.centre_xyz_mm)} mm · {window}. {_NOTE}"
    )
    x = float(_GAP)
    if nodule.suspicious:
        drawing.triangle(sheet, (x, 40), 22, drawing.SUSPICIOUS)
        x += 32
    drawing.write(sheet, (x, 42), f"Nodule {nodule.id}", 28, colour_of(nodule), "ls")
    drawing.write(sheet, (_GAP, 70), " · ".join(figures(nodule)), 19, anchor="ls")
    return sheet


def overview_sheet(examined: Pictured) -> Image.Image:
    """The maximum-intensity projections with every nodule's ring."""
    panels = [Panel(o.view, o.caption, o.image) for o in overview_panels(examined, colour_of)]
    sheet = _sheet(panels, 2, _NOTE)
    found = len(examined.report.nodules)
    drawing.write(sheet, (_GAP, 42), f"{found} nodule{'' if found == 1 else 's'}", 28, anchor="ls")
    where = (
        "inside the lungs, over the faint mean of the chest" if examined.lungs is not None else "of everything in the scan"
    )
    drawing.write(sheet, (_GAP, 70), f"maximum intensity {where}", 19, anchor="ls")
    if any(nodule.suspicious for nodule in examined.report.nodules):
        drawing.triangle(sheet, (sheet.width - _GAP - 118, 70), 15, drawing.SUSPICIOUS)
        drawing.write(sheet, (sheet.width - _GAP, 70), "suspicious", 19, drawing.SUSPICIOUS, "rs")
    return sheet


def colour_of(nodule: Nodule) -> Colour:
    return drawing.SUSPICIOUS if nodule.suspicious else drawing.OTHER


def _whole(volume: Volume, axial: Plane, nodule: Nodule, letters: int) -> Image.Image:
    """The whole slice, the part that the other panels show in a frame."""
    grid, (side, _) = volume.canonical().grid, axial.shape
    middle = (np.array(grid.shape) - 1) / 2
    middle[0] = grid.irc(axial.centre_xyz_mm)[0]
    widest = max(n * mm for n, mm in zip(grid.shape[1:], grid.spacing_irc_mm[1:], strict=True))
    plane = Plane.of("axial", grid, grid.xyz(middle), (side, side), widest / side)
    image = _marked(plain(volume, plane), plane, letters)
    x, y = plane.pixel(axial.centre_xyz_mm)
    reach = axial.pixel_mm * side / plane.pixel_mm / 2
    ImageDraw.Draw(image).rectangle((x - reach, y - reach, x + reach, y + reach), outline=colour_of(nodule), width=2)
    return image


def _marked(picture: Rgb, plane: Plane, letters: int) -> Image.Image:
    image = Image.fromarray(picture)
    drawing.lettered(image, plane, letters)
    drawing.scaled(image, plane.pixel_mm, letters * 6 // 7)
    return image


def _key(image: Image.Image) -> None:
    """The heatmap's colours and their ends, in the lower right corner."""
    width, height = image.size
    bar = drawing.colour_bar(height // 4)
    x, y = width - 30, height - 20 - bar.height
    image.paste(bar, (x, y))
    drawing.write(image, (x - 6, y), "1", 16, anchor="rt")
    drawing.write(image, (x - 6, y + bar.height), "0", 16, anchor="rs")


def _sheet(panels: Sequence[Panel], columns: int, note: str) -> Image.Image:
    """Panels in rows on a dark ground, each over its caption, with room for a heading."""
    rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
    width = max(sum(p.image.width + _GAP for p in row) for row in rows) + _GAP
    height = _HEAD + sum(max(p.image.height for p in row) + _CAPTION for row in rows) + _FOOT
    sheet, y = Image.new("RGB", (width, height), drawing.GROUND), _HEAD
    for row in rows:
        x = _GAP
        for panel in row:
            sheet.paste(panel.image, (x, y))
            drawing.write(sheet, (x, y + panel.image.height + 6), panel.caption, 16, drawing.FAINT)
            x += panel.image.width + _GAP
        y += max(p.image.height for p in row) + _CAPTION
    drawing.write(sheet, (_GAP, height - 12), note, 14, drawing.FAINT, "ls")
    return sheet


def _view_of_slices(grid: Grid) -> str:
    """The view that a slice of the file shows."""
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(grid.direction[:, 2])))]
