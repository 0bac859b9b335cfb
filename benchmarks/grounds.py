"""Grounds with text on them, and the same grounds without: pairs with a known truth."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from models.engine import Image
from models.geometry import Box

Random = np.random.Generator
_RIM_PX = 48
WORDS = ("the quick brown fox jumps over a lazy dog while nobody looks", "Menu 1234 Open daily Sale 50% off Exit")


@dataclass(frozen=True, slots=True)
class Pair:
    """``truth`` and ``shown`` are RGB uint8 ``(H, W, 3)``; ``strokes`` bool ``(H, W)``: what text changed."""

    kind: str
    truth: Image
    shown: Image
    strokes: NDArray[np.bool_]
    box: Box


def pair(kind: str, seed: int) -> Pair:
    """One line of text in a window with a rim of 48 pixels."""
    random = np.random.default_rng([seed, *kind.encode()])
    size = int(random.integers(18, 44))
    text = " ".join(random.choice(" ".join(WORDS).split(), int(random.integers(2, 5))))
    letters = _letters(text, size, random)
    height, width = letters.shape[0] + 2 * _RIM_PX, letters.shape[1] + 2 * _RIM_PX
    truth = GROUNDS[kind](height, width, random)
    alpha = np.zeros((height, width), np.float32)
    alpha[_RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX] = letters
    colour = _colour(truth, random)
    shown = np.round(truth * (1 - alpha[:, :, None]) + colour * alpha[:, :, None]).astype(np.uint8)
    strokes = alpha > 0
    return Pair(kind, truth, shown, strokes, Box(_RIM_PX, _RIM_PX, width - _RIM_PX, height - _RIM_PX))


def _letters(text: str, size: int, random: Random) -> NDArray[np.float32]:
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    picture = PILImage.new("L", (int(right - left) + 12, int(bottom - top) + 12))
    ImageDraw.Draw(picture).text(
        (6 - left, 6 - top), text, fill=255, font=font, stroke_width=int(random.integers(0, 2))
    )
    return np.asarray(picture, np.float32) / np.float32(255)


def _colour(truth: Image, random: Random) -> NDArray[np.float32]:
    mean = truth.reshape(-1, 3).mean(axis=0)
    while True:
        colour = random.integers(0, 256, 3)
        if np.abs(colour - mean).mean() > 60:
            return colour.astype(np.float32)


def _picture(values: NDArray[np.float64]) -> Image:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _flat(height: int, width: int, random: Random) -> Image:
    return np.broadcast_to(random.integers(0, 256, 3).astype(np.uint8), (height, width, 3)).copy()


def _gradient(height: int, width: int, random: Random) -> Image:
    start, end = random.integers(0, 256, (2, 3))
    angle = random.uniform(0, np.pi)
    y, x = np.mgrid[0:height, 0:width]
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = (along - along.min()) / np.ptp(along)
    return _picture(np.round(start + along[:, :, None] * (end - start)))


def _noise(height: int, width: int, random: Random, grain_px: float) -> NDArray[np.float64]:
    noise = np.asarray(cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), grain_px), np.float64)
    return np.asarray(noise / noise.std(), np.float64)


def _paper(height: int, width: int, random: Random) -> Image:
    base = random.integers(190, 250, 3)
    grain = 2.5 * _noise(height, width, random, 0.7) + 2.0 * _noise(height, width, random, 12)
    return _picture(base + grain[:, :, None])


def _waves(height: int, width: int, random: Random) -> Image:
    y, x = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 3)) + random.integers(90, 160, 3)
    for _ in range(3):
        angle, period = random.uniform(0, np.pi), random.uniform(18, 60)
        wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period + random.uniform(0, 6))
        picture += wave[:, :, None] * random.uniform(-25, 25, 3)
    return _picture(picture)


def _tone(height: int, width: int, random: Random) -> Image:
    """Dots of a screen at 45 degrees, as printed in comics, anti-aliased."""
    pitch, radius = int(random.integers(5, 11)), random.uniform(0.25, 0.4)
    y, x = np.mgrid[0 : height * 4, 0 : width * 4] / 4
    u, v = (x + y) / pitch, (x - y) / pitch
    inside = (((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2) < radius**2
    tone = 255 - cv2.resize(inside.astype(np.float32) * 255, (width, height), interpolation=cv2.INTER_AREA)
    return np.repeat(np.round(tone).astype(np.uint8)[:, :, None], 3, axis=2)


def _clouds(height: int, width: int, random: Random) -> Image:
    layers = [(40, 24.0), (20, 10.0), (9, 4.0)]
    field = sum(weight * _noise(height, width, random, grain) for weight, grain in layers)
    picture = np.array([120, 150, 200]) + np.asarray(field)[:, :, None] * random.uniform(0.6, 1.2, 3)
    return _picture(picture)


_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def _photograph(height: int, width: int, random: Random) -> Image:
    picture = getattr(skimage.data, str(random.choice(_PHOTOGRAPHS)))()
    scale = max(1.0, (height + 1) / picture.shape[0], (width + 1) / picture.shape[1])
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale * 1.05, fy=scale * 1.05, interpolation=cv2.INTER_AREA)
    top = int(random.integers(0, picture.shape[0] - height))
    left = int(random.integers(0, picture.shape[1] - width))
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


GROUNDS: dict[str, Callable[[int, int, Random], Image]] = {
    "flat": _flat,
    "gradient": _gradient,
    "paper": _paper,
    "waves": _waves,
    "manga tone": _tone,
    "clouds": _clouds,
    "photographs": _photograph,
}
