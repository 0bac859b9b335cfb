"""Pages of text drawn by Pillow, with the true outline of every line: for the detector's tests and its benchmark."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.geometry import Point
from tests.support.pictures import photo

Pixels = NDArray[np.uint8]
Outline = tuple[Point, ...]
_WORDS = str.split(
    "summer market every boat must leave before noon fresh bread and honey open daily price list total amount "
    "Westgate station platform please keep left No. 4 tel 555-0199 Chapter one quiet river stones 2026 50% off"
)


@dataclass(frozen=True, slots=True)
class Page:
    pixels: Pixels
    clean: Pixels
    """The same without its text."""
    lines: tuple[Outline, ...]


def page(kind: str, seed: int) -> Page:
    """One page of a kind of ``KINDS``; the same for the same seed."""
    return KINDS[kind](np.random.default_rng(seed))


def draw_line(pixels: Pixels, text: str, centre: Point, size: int, angle_deg: float = 0.0, ink: str = "black",
              outline: str | None = None, stacked: bool = False, font_file: str | None = None) -> Outline:  # fmt: skip
    """Draws into ``pixels``; returns the corners of the ink's box, turned with it (positive: anticlockwise)."""
    font = ImageFont.truetype(font_file, size) if font_file else ImageFont.load_default(size)
    stroke = max(1, size // 14) if outline else 0
    if stacked:
        text = "\n".join(text)
    scratch = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    options = {"font": font, "stroke_width": stroke, "align": "center", "spacing": size // 8}
    left, top, right, bottom = scratch.multiline_textbbox((0, 0), text, **options)  # type: ignore[arg-type]
    width, height = math.ceil(right - left), math.ceil(bottom - top)
    layer = Image.new("RGBA", (width + 8, height + 8), (0, 0, 0, 0))
    ImageDraw.Draw(layer).multiline_text((4 - left, 4 - top), text, fill=ink, stroke_fill=outline, **options)  # type: ignore[arg-type]
    turned = layer.rotate(angle_deg, Image.Resampling.BICUBIC, expand=True)
    corner = round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)
    picture = Image.fromarray(pixels)
    picture.paste(turned, corner, turned)
    pixels[:] = np.asarray(picture)
    turn = math.radians(-angle_deg)
    cx, cy = corner[0] + turned.width / 2, corner[1] + turned.height / 2
    corners = ((-width, -height), (width, -height), (width, height), (-width, height))
    return tuple(
        (cx + (x * math.cos(turn) - y * math.sin(turn)) / 2, cy + (x * math.sin(turn) + y * math.cos(turn)) / 2)
        for x, y in corners
    )


def iou(a: Outline, b: Outline) -> float:
    """Intersection over union, on a raster of a quarter of a pixel."""
    both = np.asarray(a + b)
    low = np.floor(both.min(axis=0)) - 1
    width, height = np.ceil((both.max(axis=0) - low + 2) * 4).astype(int)
    masks = []
    for outline in (a, b):
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round((np.asarray(outline) - low) * 4).astype(np.int32)], 1)
        masks.append(mask > 0)
    return float((masks[0] & masks[1]).sum() / max(1, (masks[0] | masks[1]).sum()))


def matched(truth: tuple[Outline, ...], found: list[Outline], at_least: float = 0.5) -> int:
    """How many true lines have a found one of their own."""
    free = list(found)
    hits = 0
    for outline in truth:
        best = max(free, key=lambda other: iou(outline, other), default=None)
        if best is not None and iou(outline, best) >= at_least:
            free.remove(best)
            hits += 1
    return hits


def _text(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(words))


def _background(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Flat paper, a gradient, or coloured waves with grain."""
    kind = rng.integers(0, 3)
    if kind == 2:
        return photo(width, height, int(rng.integers(0, 1000)))
    a, b = rng.integers(150, 256, (2, 3)) if rng.random() < 0.6 else rng.integers(0, 100, (2, 3))
    b = a if kind == 0 else b
    ramp = np.linspace(0, 1, height)[:, np.newaxis, np.newaxis]
    return np.broadcast_to(a * (1 - ramp) + b * ramp, (height, width, 3)).astype(np.uint8).copy()


def _inks(pixels: Pixels, grainy: bool) -> tuple[str, str | None]:
    light = float(pixels.mean()) > 127
    ink = "black" if light else "white"
    return ink, ("white" if light else "black") if grainy else None


def _rows(rng: np.random.Generator, width: int, height: int, sizes: tuple[int, int], words: int = 5) -> Page:
    pixels = _background(rng, width, height)
    ink, outline = _inks(pixels, grainy=bool(np.std(pixels[:8, :8]) > 3))
    clean, lines, y = pixels.copy(), [], height * 0.06
    while True:
        size = int(rng.integers(*sizes, endpoint=True))
        text = _text(rng, int(rng.integers(1, words, endpoint=True)))
        wide = ImageFont.load_default(size).getlength(text)
        y += size
        if y > height - size:
            break
        if wide < width * 0.9:
            x = float(rng.uniform(wide / 2 + 0.03 * width, 0.97 * width - wide / 2))
            lines.append(draw_line(pixels, text, (x, y), size, 0.0, ink, outline))
        y += size * float(rng.uniform(0.6, 1.5))
    return Page(pixels, clean, tuple(lines))


def _document(rng: np.random.Generator) -> Page:
    return _rows(rng, 1240, 1754, (18, 34))


def _poster(rng: np.random.Generator) -> Page:
    return _rows(rng, 900, 700, (30, 90))


def _small(rng: np.random.Generator) -> Page:
    return _rows(rng, 640, 480, (10, 13))


def _huge(rng: np.random.Generator) -> Page:
    return _rows(rng, 3000, 2000, (200, 330), words=2)


def _large_picture(rng: np.random.Generator) -> Page:
    """Small text on 4000 x 3000 pixels."""
    return _rows(rng, 4000, 3000, (14, 120))


def _too_long(text: str, size: int, stacked: bool) -> bool:
    """For a cell of 390 x 330 pixels."""
    if stacked:
        return " " in text or len(text) * size > 220
    return ImageFont.load_default(size).getlength(text) > 300


def _scattered(rng: np.random.Generator, angles: tuple[int, int], stacked: bool = False) -> Page:
    pixels = _background(rng, 1200, 1000)
    ink, outline = _inks(pixels, grainy=bool(np.std(pixels[:8, :8]) > 3))
    clean, lines = pixels.copy(), []
    for cy in (170, 500, 830):
        for cx in (210, 600, 990):
            size = int(rng.integers(22, 44))
            angle = float(rng.uniform(*angles))
            text = _text(rng, 2)
            while _too_long(text, size, stacked):
                text = text[:-1].strip()
            lines.append(draw_line(pixels, text, (cx, cy), size, angle, ink, outline, stacked))
    return Page(pixels, clean, tuple(lines))


KINDS: dict[str, Callable[[np.random.Generator], Page]] = {
    "document": _document,
    "poster": _poster,
    "small": _small,
    "huge": _huge,
    "large picture": _large_picture,
    "rotated": lambda rng: _scattered(rng, (-40, 40)),
    "upright": lambda rng: _scattered(rng, (90, 90)),
    "stacked": lambda rng: _scattered(rng, (0, 0), stacked=True),
}
