"""Pictures with text and the same without, with the true strokes: what a text remover is measured against."""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from models.engine import Image
from models.geometry import Box

VISIBLE_LEVELS = 6
"""A pixel is part of a stroke where the text changed a channel by more than so many of 255 levels."""
TUNING_SEED, HELD_OUT_SEED = 1, 90_001
_GRAIN_LEVELS = 1.5
STYLES = ("plain", "outline", "shadow", "two-colour", "vertical", "rotated", "cjk", "blurred", "jpeg")
_LATIN = ("The quick brown fox jumps over 13 lazy dogs & runs away", "QUALITY Sale 50% Größe façade")
_CJK = "文字消去の品質測定、春夏秋冬。東京都大安売り中国語简体字繁體字漢字"
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")


@dataclass(frozen=True, slots=True)
class Pair:
    """``strokes``: bool of shape (height, width), before compression. ``boxes``: one per line of text. ``file``: the
    JPEG that ``before`` comes from, where it does.
    """

    name: str
    kind: str
    style: str
    before: Image
    truth: Image
    strokes: NDArray[np.bool_]
    boxes: tuple[Box, ...]
    file: bytes | None = None


def make_pairs(first_seed: int, per_kind: int, only: str | None = None) -> list[Pair]:
    """``per_kind`` pairs for each kind of background; the styles take turns, unless it is ``only`` one."""
    pairs: list[Pair] = []
    for row, kind in enumerate(BACKGROUNDS):
        for index in range(per_kind):
            style = only or STYLES[(index + row) % len(STYLES)]
            pairs.append(make_pair(kind, style, first_seed + 1000 * row + index))
    return pairs


def make_pair(kind: str, style: str, seed: int, scale: int = 1) -> Pair:
    """A picture of 200 x 480 pixels, letters of 16 to 48; always the same for the same arguments and fonts.

    ``scale``: so many times as large, letters and ground alike, with the grain of a camera.
    """
    rng = np.random.default_rng(seed)
    clean = _enlarged(rng, BACKGROUNDS[kind](rng, 200, 480), scale)
    layer = _lettering(rng, style, clean, scale)
    if style == "blurred":
        # Premultiplied, or the transparent pixels' black would bleed into the edges.
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), scale * float(rng.uniform(0.8, 1.6))), np.float32)
    alpha = layer[..., 3:] / 255
    text = np.clip(np.rint(layer[..., :3] + clean * (1 - alpha)), 0, 255).astype(np.uint8)
    strokes = np.abs(text.astype(np.int16) - clean).max(2) > VISIBLE_LEVELS
    file = None
    if style == "jpeg":
        quality = int(rng.integers(60, 93))
        file, clean = jpeg_file(text, quality), jpeg(clean, quality)
        text = opened(file)
    margin = int(rng.integers(2, 7))
    return Pair(f"{kind}-{style}-{seed}", kind, style, text, clean, strokes, (_cover(strokes, margin),), file)


def _enlarged(rng: np.random.Generator, clean: Image, scale: int) -> Image:
    if scale == 1:
        return clean
    large = cv2.resize(clean, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(large + rng.normal(0, _GRAIN_LEVELS, large.shape)), 0, 255), np.uint8)


def _lettering(rng: np.random.Generator, style: str, clean: Image, scale: int) -> NDArray[np.float32]:
    """RGBA in 0..255, colours premultiplied by alpha."""
    height, width = clean.shape[:2]
    size = scale * int(rng.integers(16, 48))
    cjk = style in {"cjk", "vertical"} and bool(font_files()[1])
    font = _font(rng, size, cjk)
    words = _CJK if cjk else " ".join(rng.permutation(" ".join(_LATIN).split())[:6])
    words = words[int(rng.integers(8)) :] if cjk else words
    colour = _contrasting(rng, clean)
    edge = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
    outline = max(1, size // 14) if style == "outline" else 0
    picture = Pillow.new("RGBA", (width, height))
    draw = ImageDraw.Draw(picture)
    length = max(2, int(0.8 * (height if style == "vertical" else width) / (size * (1.0 if cjk else 0.62))))
    words = words[:length].strip()
    if style == "vertical":
        for row, char in enumerate(words):
            draw.text((width // 2 - size // 2, 14 * scale + row * size * 1.05), char, (*colour, 255), font)
    else:
        spot = (24 * scale, (height - size) // 2 - size // 5)
        if style == "shadow":
            shadow = Pillow.new("RGBA", (width, height))
            ImageDraw.Draw(shadow).text((spot[0] + 2 * scale, spot[1] + 2 * scale), words, (*edge, 160), font)
            picture = Pillow.alpha_composite(picture, shadow)
            draw = ImageDraw.Draw(picture)
        half = len(words) // 2 if style == "two-colour" else len(words)
        draw.text(spot, words[:half], (*colour, 255), font, stroke_width=outline, stroke_fill=(*edge, 255))
        if half < len(words):
            second = (spot[0] + draw.textlength(words[:half], font), spot[1])
            draw.text(second, words[half:], (*_contrasting(rng, clean), 255), font)
    if style == "rotated":
        picture = picture.rotate(float(rng.uniform(-9, 9)), Pillow.Resampling.BICUBIC)
    layer = np.asarray(picture).astype(np.float32)
    layer[..., :3] *= layer[..., 3:] / 255
    return layer


def _contrasting(rng: np.random.Generator, clean: Image) -> tuple[int, int, int]:
    """A colour that can be read on ``clean``: 90 levels of luma away from its middle half, in the mean."""
    weights = np.array([0.299, 0.587, 0.114])
    mean = float(clean.reshape(-1, 3).mean(0) @ weights)
    while True:
        colour = rng.integers(0, 256, 3) if rng.random() < 0.6 else np.repeat(rng.choice([0, 255]), 3)
        if abs(float(colour @ weights) - mean) > 90:
            return int(colour[0]), int(colour[1]), int(colour[2])


@lru_cache
def font_files() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Latin fonts of this machine, and those with Chinese and Japanese characters."""
    files = [str(file) for folder in _FONT_FOLDERS for file in sorted(Path(folder).rglob("*.[to]t[fc]"))]
    cjk = tuple(file for file in files if "CJK" in file)
    latin = [f for f in files if any(k in f for k in ("DejaVu", "Liberation", "NotoSans-", "NotoSerif-"))]
    return tuple(latin), cjk


def _font(rng: np.random.Generator, size: int, cjk: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    files = font_files()[1 if cjk else 0]
    if not files:
        return ImageFont.load_default(size)
    return ImageFont.truetype(files[int(rng.integers(len(files)))], size)


def _cover(strokes: NDArray[np.bool_], margin: int) -> Box:
    ys, xs = np.nonzero(strokes)
    height, width = strokes.shape
    return Box(
        max(0, int(xs.min()) - margin),
        max(0, int(ys.min()) - margin),
        min(width, int(xs.max()) + 1 + margin),
        min(height, int(ys.max()) + 1 + margin),
    )


def jpeg(image: Image, quality: int) -> Image:
    """As it is after one round through JPEG."""
    return opened(jpeg_file(image, quality))


def jpeg_file(image: Image, quality: int) -> bytes:
    """With half of the colour's resolution, as most have."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()


def opened(file: bytes) -> Image:
    return np.asarray(Pillow.open(io.BytesIO(file)).convert("RGB"))
