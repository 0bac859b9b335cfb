"""Text in many fonts, scripts and styles, as transparent layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Random = np.random.Generator
Layer = NDArray[np.float32]
"""RGBA, 0..255, colours premultiplied by alpha; (H, W, 4)."""

_LATIN = "abcdefghijklmnopqrstuvwxyz" * 3 + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "0123456789" + ".,:;!?-%&()/+äöüéß"
_SCRIPTS: dict[str, Sequence[str]] = {
    "han": [chr(c) for c in range(0x4E00, 0x9000, 7)] + [chr(c) for c in range(0x3041, 0x3094)] * 6,
    "kana": [chr(c) for c in range(0x3041, 0x3094)] + [chr(c) for c in range(0x30A1, 0x30F4)],
    "hangul": [chr(c) for c in range(0xAC00, 0xD7A0, 37)],
    "thai": [chr(c) for c in (*range(0x0E01, 0x0E2F), *range(0x0E40, 0x0E46))],
    "arabic": [chr(c) for c in range(0x0627, 0x064B)],
    "devanagari": [chr(c) for c in range(0x0905, 0x0939)],
}
_SCRIPT_OF = {
    "ipa": "han", "wqy": "han", "ukai": "han", "mplus": "han", "yusei": "kana", "rampart": "kana", "reggae": "kana",
    "nanum": "hangul", "tlwg": "thai", "amiri": "arabic", "deva": "devanagari",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typeface:
    file: Path
    script: str | None
    """A key of the scripts beside Latin; None: Latin only."""


def typefaces(files: Sequence[Path]) -> list[Typeface]:
    return [Typeface(file, _script(file)) for file in files]


def _script(file: Path) -> str | None:
    """The script that its name promises, if it keeps that promise for all of a few letters."""
    script = next((script for part, script in _SCRIPT_OF.items() if part in str(file).lower()), None)
    if script is None:
        return None
    font = ImageFont.truetype(str(file), 24)
    missing = bytes(font.getmask("\uffff"))
    some = _SCRIPTS[script][:: max(1, len(_SCRIPTS[script]) // 12)]
    return script if all(bytes(font.getmask(letter)) != missing for letter in some) else None


@dataclass(frozen=True, slots=True)
class Style:
    colour: NDArray[np.float32]
    edge: NDArray[np.float32]
    second: NDArray[np.float32] | None
    outline_px: int
    shadow_px: tuple[int, int] | None
    shadow_blur_px: float
    shadow_alpha: float
    opacity: float
    gradient: bool


def words(face: Typeface, length: int, random: Random) -> str:
    if face.script and random.random() < 0.75:
        letters = _SCRIPTS[face.script]
        return "".join(random.choice(letters) for _ in range(max(1, length // 2)))
    text = ""
    while len(text) < length:
        word = "".join(random.choice(list(_LATIN)) for _ in range(int(random.integers(1, 9))))
        text += (word.upper() if random.random() < 0.15 else word) + " "
    return text[:length].strip() or "A"


def layer(
    lines: Sequence[str], face: Typeface, size: int, style: Style, vertical: bool, height: int, width: int,
    spot: tuple[int, int], pitch: float,
) -> Layer:  # fmt: skip
    """``lines`` from ``spot`` (left, top) on, in rows (or columns, from right to left), ``pitch`` sizes apart."""
    font = ImageFont.truetype(str(face.file), size)
    whole = Pillow.new("L", (width, height))
    inner = Pillow.new("L", (width, height)) if style.outline_px else whole
    for number, line in enumerate(lines):
        place = (
            spot[0] - number * size * pitch if vertical else spot[0],
            spot[1] + (0 if vertical else number * size * pitch),
        )
        if vertical:
            for row, char in enumerate(line):
                at = (place[0], place[1] + row * size * 1.04)
                _draw(whole, inner, at, char, font, style.outline_px)
        else:
            _draw(whole, inner, place, line, font, style.outline_px)
    return _coloured(np.asarray(whole, np.float32), np.asarray(inner, np.float32), style)


def _draw(
    whole: Pillow.Image,
    inner: Pillow.Image,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    outline_px: int,
) -> None:
    ImageDraw.Draw(whole).text(at, text, 255, font, stroke_width=outline_px)
    if inner is not whole:
        ImageDraw.Draw(inner).text(at, text, 255, font)


def _coloured(whole: Layer, inner: Layer, style: Style) -> Layer:
    height, width = whole.shape
    face = np.broadcast_to(style.colour, (height, width, 3))
    if style.second is not None:
        _, xs = np.nonzero(whole > 0)
        middle = xs.mean() if len(xs) else width / 2
        along = np.clip((np.arange(width) - middle) / (60 if style.gradient else 1) + 0.5, 0, 1).astype(np.float32)
        face = face * (1 - along[None, :, None]) + style.second * along[None, :, None]
    share = inner[..., None] / 255
    colours = style.edge * (1 - share) + face * share if style.outline_px else face
    alpha = whole[..., None] / 255
    out = np.concatenate([colours * alpha, alpha * 255], axis=2)
    if style.shadow_px is not None:
        moved = np.roll(whole, style.shadow_px[::-1], (0, 1))
        if style.shadow_blur_px:
            moved = np.asarray(cv2.GaussianBlur(moved, (0, 0), style.shadow_blur_px), np.float32)
        below = moved[..., None] / 255 * style.shadow_alpha
        out[..., :3] += style.edge * below * (1 - alpha)
        out[..., 3:] += 255 * below * (1 - alpha)
    return np.asarray(out * style.opacity, np.float32)


def warped(picture: Layer, random: Random, most_degrees: float) -> Layer:
    """Rotated, in perspective and bent a little."""
    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle = np.deg2rad(random.uniform(-most_degrees, most_degrees))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = (corners - corners.mean(0)) @ turn + corners.mean(0) + random.normal(0, 3, (4, 2))
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    back = np.linalg.inv(matrix)
    scale = back[2, 0] * xs + back[2, 1] * ys + back[2, 2]
    from_x = (back[0, 0] * xs + back[0, 1] * ys + back[0, 2]) / scale
    from_y = (back[1, 0] * xs + back[1, 1] * ys + back[1, 2]) / scale
    if random.random() < 0.4:
        from_y = from_y + random.uniform(-8, 8) * np.sin(xs / width * np.pi * random.uniform(1, 3))
    return np.asarray(
        cv2.remap(picture, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR), np.float32
    )
