"""Draw the pictures of README and docs from one phantom, by the code that they show.

    make docs

Writes docs/pictures/*.png and docs/pictures/report.svg. Pages are photographed in Chromium through playwright; where one
of the two is missing their old pictures stay, and that is said.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.console import Console

from lungscan.phantom import write_dataset
from lungscan.pipeline import Examination, examine
from lungscan.report.html import write_html
from lungscan.report.pictures import write_png
from lungscan.report.terminal import show
from lungscan.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
ZOOM = 2
LUNG_WINDOW_HU = (-1350, 150)  # level -600, width 1500
PAGE_PIXELS = 1560  # height of the photographed page
PAGE_GAP = 24
NOTEBOOK = """<style>
  body { font: 14px/1.5 system-ui, sans-serif; margin: 16px; }
  pre { background: #f5f5f5; border: 1px solid #ddd; padding: 8px; }
  table { border-collapse: collapse; font-size: 12px; }
  th, td { padding: 6px 8px; text-align: right; }
  tbody tr:nth-child(odd) { background: #f5f5f5; }
</style>"""

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


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, or None where it or playwright is missing."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def photographed(e: Examination, browser: Any) -> None:
    """The page on a desk by day, and beside it on a phone by night."""
    sheets = []
    with tempfile.TemporaryDirectory() as folder:
        (page,) = write_html(e, Path(folder))
        for width, scheme in ((1080, "light"), (390, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": PAGE_PIXELS}, color_scheme=scheme)
            tab.goto(page.as_uri())
            sheets.append(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))
    desk, phone = sheets
    both = Image.new("RGB", (desk.width + phone.width + 3 * PAGE_GAP, PAGE_PIXELS + 2 * PAGE_GAP), (198, 203, 211))
    both.paste(desk, (PAGE_GAP, PAGE_GAP))
    both.paste(phone, (desk.width + 2 * PAGE_GAP, PAGE_GAP))
    both.save(PICTURES / "report-page.png", optimize=True)


def noted(e: Examination, browser: Any) -> None:
    """The report as the last line of a notebook's cell shows it, in the notebook's own style of tables."""
    tab = browser.new_page(viewport={"width": 900, "height": 400})
    tab.set_content(f'{NOTEBOOK}<pre>report = lungscan.scan("SCAN")\nreport</pre>{e.report._repr_html_()}')
    tab.screenshot(path=PICTURES / "notebook.png", full_page=True)


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

    with chromium() as browser:
        if browser is None:
            print("report-page.png and notebook.png are left as they are: they need playwright (pip) and Chromium")
        else:
            photographed(e, browser)
            noted(e, browser)
    with tempfile.TemporaryDirectory() as folder:
        for sheet in write_png(e, Path(folder)):
            if sheet.stem in ("overview", f"nodule-{best.id}"):
                shutil.copy(sheet, PICTURES / f"report-{sheet.stem.partition('-')[0]}.png")

    console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    show(replace(e.report, input=replace(e.report.input, path=f"demo/subset0/{path.name}")), console)
    drawn = console.export_svg(title="lungscan scan demo/subset0/*.mhd")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # no font is fetched: the reader's monospace serves
    (PICTURES / "report.svg").write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n")
    print("\n".join(str(f.relative_to(PICTURES.parent.parent)) for f in sorted(PICTURES.iterdir())))


if __name__ == "__main__":
    main()
