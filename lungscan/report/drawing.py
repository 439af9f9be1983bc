"""The marks on a picture: outline, tint, letters, scale bar, ring. Colours differ in brightness too, for every eye."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lungscan.report.planes import Plane, Values

Rgb = npt.NDArray[np.uint8]
"""(H,W,3)."""
Colour = tuple[int, int, int]

LUNG_WINDOW_HU = (-1350, 150)
"""Level -600, width 1500."""

SUSPICIOUS: Colour = (255, 176, 0)  # amber
OTHER: Colour = (76, 201, 240)  # light blue
TEXT: Colour = (236, 239, 244)
FAINT: Colour = (160, 168, 180)
GROUND: Colour = (15, 17, 21)
_HALO: Colour = (0, 0, 0)

_HEAT = ((0.0, (64, 0, 90)), (0.35, (190, 30, 80)), (0.7, (255, 140, 20)), (1.0, (255, 240, 130)))
_HEAT_OPACITY = 0.75


@cache
def font(size: int) -> Any:
    """Pillow's own typeface: the same picture on every machine."""
    return ImageFont.load_default(size)


def grey(hu: Values, window_hu: tuple[int, int] = LUNG_WINDOW_HU) -> Rgb:
    """HU (H,W) in a window, black at and under its lower end."""
    low, high = window_hu
    level = np.rint(255 * np.clip((hu - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def heat_colours(p: Values) -> Values:
    """(...,3) from dark violet at 0 to light yellow at 1."""
    stops = [at for at, _ in _HEAT]
    return np.stack([np.interp(p, stops, [colour[k] for _, colour in _HEAT]) for k in range(3)], axis=-1).astype(np.float32)


def heated(picture: Rgb, p: Values) -> Rgb:
    """Probabilities (H,W) laid over a picture: the likelier the more opaque and the lighter."""
    share = _HEAT_OPACITY * np.sqrt(np.clip(p, 0, 1))[..., None]
    return _blended(picture, heat_colours(p), share)


def _blended(picture: Rgb, over: npt.NDArray[np.floating], share: npt.NDArray[np.floating]) -> Rgb:
    return np.asarray(np.rint(picture * (1 - share) + over * share), np.uint8)


def outlined(picture: Rgb, inside: Values, colour: Colour, width: float = 2.0) -> Rgb:
    """A line where `inside` (H,W) passes a half, smooth at its edges."""
    mask = inside >= 0.5
    if not mask.any() or mask.all():
        return picture
    distance = np.where(mask, ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)) - 0.5
    share = np.clip(width / 2 + 0.5 - distance, 0, 1)[..., None]
    return _blended(picture, np.array(colour, np.float64), share)


def write(
    image: Image.Image, xy: tuple[float, float], text: str, size: int, colour: Colour = TEXT, anchor: str = "la"
) -> None:
    """Text with a dark edge, legible on bright and on dark tissue; `anchor` as Pillow names it."""
    ImageDraw.Draw(image).text(xy, text, colour, font(size), anchor, stroke_width=max(size // 10, 1), stroke_fill=_HALO)


def lettered(image: Image.Image, plane: Plane, size: int = 20) -> None:
    """The patient's sides at the middle of the four edges."""
    (w, h), gap = image.size, size // 2
    spots = (((gap, h / 2), "lm"), ((w - gap, h / 2), "rm"), ((w / 2, gap), "ma"), ((w / 2, h - gap), "md"))
    for letters, (xy, anchor) in zip(plane.letters(), spots, strict=True):
        write(image, xy, letters, size, anchor=anchor)


def scaled(image: Image.Image, pixel_mm: float, size: int = 17) -> None:
    """A scale bar in the lower left corner, a round length of a sixth to a third of the width."""
    width, height = image.size
    room_mm = width * pixel_mm / 3
    length_mm = max(mm for mm in (1, 2, 5, 10, 20, 50, 100, 200) if mm <= max(room_mm, 1))
    gap = size * 2 // 3
    start, end, base = gap, gap + length_mm / pixel_mm, height - gap
    draw = ImageDraw.Draw(image)
    for colour, edge in ((_HALO, 1), (TEXT, 0)):
        draw.rectangle((start - edge, base - 3 - edge, end + edge, base + edge), fill=colour)
        for x in (start, end):
            draw.rectangle((x - 1 - edge, base - 8 - edge, x + 1 + edge, base + edge), fill=colour)
    write(image, (start, base - 11), f"{length_mm} mm", size, anchor="ls")


def ringed(image: Image.Image, xy: tuple[float, float], radius: float, colour: Colour, label: str, *, marked: bool) -> None:
    """A ring, its label beside it, and a triangle beside that where it is `marked`."""
    x, y = xy
    draw = ImageDraw.Draw(image)
    for reach, width, ink in ((radius + 1, 5, _HALO), (radius, 3, colour)):
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=width)
    size = 20
    wide = font(size).getlength(label) + (size if marked else 0)
    reach = radius * 0.71 + 4
    left = x + reach if x + reach + wide < image.size[0] else x - reach - wide
    write(image, (left, y - reach), label, size, colour, "ls")
    if marked:
        triangle(image, (left + wide - size + 5, y - reach), size * 0.7, colour)


def triangle(image: Image.Image, xy: tuple[float, float], side: float, colour: Colour) -> None:
    """A filled triangle that stands on a point's baseline: the mark of what is suspicious."""
    x, y = xy
    corners = ((x, y), (x + side, y), (x + side / 2, y - side * 0.87))
    ImageDraw.Draw(image).polygon(corners, fill=colour, outline=_HALO)


def colour_bar(height: int, width: int = 14) -> Image.Image:
    """The colours of the heatmap, 0 at the bottom, 1 at the top."""
    p = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    return Image.fromarray(np.rint(heat_colours(p)).astype(np.uint8))
