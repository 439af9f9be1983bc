"""Draw the pictures of README and docs from one phantom, by the code that they show.

    make docs

Writes docs/pictures/*.png and docs/pictures/report.svg.
"""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.console import Console

from lungscan.phantom import write_dataset
from lungscan.pipeline import Examination, examine
from lungscan.report.terminal import show
from lungscan.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
ZOOM = 2
LUNG_WINDOW_HU = (-1350, 150)  # level -600, width 1500

Rgb = npt.NDArray[np.uint8]


def grey(hu: npt.NDArray[np.int16]) -> Rgb:
    """A slice in the lung window."""
    low, high = LUNG_WINDOW_HU
    level = ((hu.astype(np.float32) - low) / (high - low)).clip(0, 1) * 255
    return np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)


def tinted(picture: Rgb, where: npt.NDArray[np.floating], colour: tuple[int, int, int]) -> Rgb:
    """Colour laid over a picture, as strong as `where` says (0 to 1)."""
    share = np.asarray(where, np.float32)[..., None] * 0.7
    return (picture * (1 - share) + np.array(colour) * share).astype(np.uint8)


def save(picture: Rgb, name: str, circles: list[tuple[float, float, float, str]] | None = None) -> None:
    """Write a picture, twice as large, with circles (row, column, radius, colour) in pixels of the slice."""
    image = Image.fromarray(picture).resize((picture.shape[1] * ZOOM, picture.shape[0] * ZOOM), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for r, c, radius, colour in circles or []:
        box = [(x + sign * radius) * ZOOM for sign in (-1, 1) for x in (c, r)]
        draw.ellipse(box, outline=colour, width=2)
    image.save(PICTURES / f"{name}.png", optimize=True)


def whole(e: Examination) -> npt.NDArray[np.float32]:
    """The heatmap on the whole grid."""
    values = np.zeros(e.prepared.hu.shape, np.float32)
    values[tuple(slice(*b) for b in e.heatmap.box)] = e.heatmap.values
    return values


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_dataset(Path(folder), 1, 7)
        e = examine(path, Settings(precision="fp32"))
    assert e.lungs is not None
    best = max(e.report.nodules, key=lambda n: n.p_nodule * n.diameter_mm)
    focus = round(float(e.prepared.grid.irc(best.centre_xyz_mm)[0]))
    plane = e.prepared.hu[focus]
    save(grey(plane), "1-slice")

    index = np.stack(np.meshgrid([focus], *(np.arange(n) for n in plane.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    inside = e.lungs.contains(e.prepared.grid.xyz(index)).reshape(plane.shape)
    save(tinted(grey(plane), inside * 0.35, (80, 160, 255)), "2-lungs")

    p = whole(e)[focus]
    save(tinted(grey(plane), p, (255, 140, 0)), "3-heatmap")

    here = [c for c in e.candidates if c.box_irc[0][0] <= focus < c.box_irc[0][1]]
    nodules = {n.centre_xyz_mm for n in e.report.nodules}
    spacing = e.prepared.grid.spacing_irc_mm[1]
    circles = [
        (c.centre_irc[1], c.centre_irc[2], c.diameter_mm / spacing / 2 + 5, "lime" if c.centre_xyz_mm in nodules else "red")
        for c in here
    ]
    save(grey(plane), "4-candidates", circles)

    console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    show(replace(e.report, input=replace(e.report.input, path=f"demo/subset0/{path.name}")), console)
    drawn = console.export_svg(title="lungscan scan demo/subset0/*.mhd")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # no font is fetched: the reader's monospace serves
    (PICTURES / "report.svg").write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n")
    print("\n".join(str(f.relative_to(PICTURES.parent.parent)) for f in sorted(PICTURES.iterdir())))


if __name__ == "__main__":
    main()
