"""What text stands on: photographs, procedural textures, and drawn surfaces with frames and lines. RGB uint8."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image

Random = np.random.Generator
Values = NDArray[np.float32]
_SMALLEST_SIDE_PX = 700


class Photographs:
    """Pictures of a folder, shrunk to at most ``longest`` pixels. Crops at random scales."""

    def __init__(self, files: Sequence[Path], longest: int = 1600) -> None:
        self._pictures = [picture for file in files if (picture := _read(file, longest)) is not None]
        if not self._pictures:
            raise ValueError("There are no photographs to put text on.")

    def crop(self, height: int, width: int, random: Random) -> Image:
        picture = self._pictures[int(random.integers(len(self._pictures)))]
        least = max(height / picture.shape[0], width / picture.shape[1])
        scale = max(least, float(random.uniform(0.2, 1.0)) ** 1.5) * 1.001
        rows, columns = int(np.ceil(height / scale)), int(np.ceil(width / scale))
        rows, columns = min(rows, picture.shape[0]), min(columns, picture.shape[1])
        top = int(random.integers(picture.shape[0] - rows + 1))
        left = int(random.integers(picture.shape[1] - columns + 1))
        crop = cv2.resize(
            picture[top : top + rows, left : left + columns], (width, height), interpolation=cv2.INTER_AREA
        )
        if random.random() < 0.2:
            crop = np.repeat(np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, 2)
        gain, bias = random.uniform(0.6, 1.2), random.uniform(-30, 40)
        return _picture(crop.astype(np.float32) * gain + bias)


def ground(photographs: Photographs, height: int, width: int, random: Random) -> Image:
    """One of all kinds; a third of them with drawn surfaces on top."""
    chance = random.random()
    if chance < 0.55:
        picture = photographs.crop(height, width, random)
    else:
        picture = _TEXTURES[int(random.integers(len(_TEXTURES)))](height, width, random)
    if random.random() < 0.35:
        picture = _surfaces(picture, random)
    return picture


def colour(random: Random) -> Values:
    if random.random() < 0.3:
        return np.repeat(random.choice([0, 20, 235, 255]), 3).astype(np.float32)
    return random.integers(0, 256, 3).astype(np.float32)


def _read(file: Path, longest: int) -> Image | None:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None or min(picture.shape[:2]) < 180:
        return None
    ratio = min(1.0, longest / max(picture.shape[:2]))
    return np.asarray(cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), np.uint8)


def _picture(values: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _flat(height: int, width: int, random: Random) -> Image:
    return _picture(np.broadcast_to(colour(random), (height, width, 3)))


def _ramp(height: int, width: int, random: Random) -> Values:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    if random.random() < 0.3:
        field = np.hypot(xs - random.uniform(0, width), ys - random.uniform(0, height))
    else:
        angle = random.uniform(0, 2 * np.pi)
        field = np.cos(angle) * xs + np.sin(angle) * ys
    return np.asarray((field - field.min()) / max(1e-6, float(np.ptp(field))), np.float32)


def _gradient(height: int, width: int, random: Random) -> Image:
    along = _ramp(height, width, random)[..., None]
    return _picture(colour(random) * (1 - along) + colour(random) * along)


def _noise(height: int, width: int, random: Random, grain_px: float) -> Values:
    small = (max(2, int(height / max(1, grain_px / 2)) + 2), max(2, int(width / max(1, grain_px / 2)) + 2))
    noise = cv2.GaussianBlur(random.normal(size=small).astype(np.float32), (0, 0), 1.0 if grain_px > 1.5 else 0.5)
    noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(noise / (noise.std() + 1e-6), np.float32)


def _clouds(height: int, width: int, random: Random) -> Image:
    fine = float(random.uniform(2, 12))
    field = sum(_noise(height, width, random, fine * 2**n) * 2**n for n in range(4)) / 8
    share = 1 / (1 + np.exp(-np.asarray(field)[..., None] * random.uniform(0.5, 3)))
    return _picture(colour(random) * (1 - share) + colour(random) * share)


def _paper(height: int, width: int, random: Random) -> Image:
    grain = _noise(height, width, random, random.uniform(1, 4)) * random.uniform(1, 9)
    stains = _noise(height, width, random, random.uniform(15, 60)) * random.uniform(0, 8)
    base = colour(random) if random.random() < 0.4 else random.integers(180, 256, 3).astype(np.float32)
    return _picture(base + (grain + stains)[..., None])


def _waves(height: int, width: int, random: Random) -> Image:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.zeros((height, width, 3), np.float32) + random.uniform(40, 215, 3)
    for _ in range(int(random.integers(1, 4))):
        angle, period = random.uniform(0, np.pi), random.uniform(6, 80)
        bent = random.uniform(0, 3) * np.sin((ys * np.cos(angle) - xs * np.sin(angle)) / random.uniform(10, 40))
        wave = np.sin(2 * np.pi * (np.cos(angle) * xs + np.sin(angle) * ys) / period + bent)
        picture += wave[..., None] * random.uniform(-35, 35, 3)
    return _picture(picture)


def _cells(height: int, width: int, random: Random) -> Image:
    """Periodic: screen tone, stripes, checks, hatching, at any angle; anti-aliased or not."""
    pitch, angle = random.uniform(3.5, 16), random.choice([0, np.pi / 4, random.uniform(0, np.pi)])
    fine = 3 if random.random() < 0.7 else 1
    ys, xs = np.mgrid[0 : height * fine, 0 : width * fine].astype(np.float32) / fine
    u = (np.cos(angle) * xs + np.sin(angle) * ys) / pitch
    v = (np.cos(angle) * ys - np.sin(angle) * xs) / pitch
    shape = int(random.integers(4))
    if shape < 2:
        ink = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < random.uniform(0.15, 0.55) ** 2
    elif shape == 2:
        ink = u % 1 < random.uniform(0.1, 0.6)
    else:
        ink = (u % 1 < 0.5) ^ (v % 1 < 0.5)
    share = cv2.resize(ink.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)[..., None]
    if random.random() < 0.5:
        first, second = np.full(3, 255, np.float32), np.full(3, random.uniform(0, 190), np.float32)
    else:
        first, second = colour(random), colour(random)
    return _picture(first * (1 - share) + second * share)


def _bricks(height: int, width: int, random: Random) -> Image:
    picture = np.broadcast_to(colour(random), (height, width, 3)).astype(np.float32).copy()
    rows, columns, joint = int(random.integers(8, 40)), int(random.integers(12, 80)), int(random.integers(1, 5))
    base = colour(random)
    for number, top in enumerate(range(-rows // 2, height, rows)):
        for left in range(-(columns // 2) * (number % 2) - 3, width, columns):
            brick = base + random.normal(0, 14)
            picture[max(0, top) : max(0, top + rows - joint), max(0, left) : max(0, left + columns - joint)] = brick
    picture += (_noise(height, width, random, random.uniform(1, 4)) * random.uniform(0, 12))[..., None]
    return _picture(picture)


def _patches(height: int, width: int, random: Random) -> Image:
    """Polygons and blobs in many colours: a painted scene."""
    picture = _clouds(height, width, random) if random.random() < 0.5 else _gradient(height, width, random)
    for _ in range(int(random.integers(4, 30))):
        centre = random.uniform(0, 1, 2) * (width, height)
        points = centre + random.normal(0, random.uniform(4, 60), (int(random.integers(3, 8)), 2))
        cv2.fillPoly(picture, [points.astype(np.int32)], [int(v) for v in colour(random)], cv2.LINE_AA)
    if random.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.5, 4))), np.uint8)
    return picture


_TEXTURES: tuple[Callable[[int, int, Random], Image], ...] = (
    _flat, _gradient, _clouds, _paper, _waves, _cells, _cells, _bricks, _patches,
)  # fmt: skip


def _surfaces(picture: Image, random: Random) -> Image:
    """Cards, buttons, frames, balloons and lines, as on pages, signs and in comics."""
    picture = picture.copy()
    height, width = picture.shape[:2]
    for _ in range(int(random.integers(1, 5))):
        left, top = int(random.integers(-30, width - 20)), int(random.integers(-20, height - 10))
        right, bottom = left + int(random.integers(30, width)), top + int(random.integers(14, height))
        fill, line = [int(v) for v in colour(random)], [int(v) for v in colour(random)]
        kind, thick = int(random.integers(6)), int(random.integers(1, 7))
        if kind < 3:
            cv2.rectangle(picture, (left, top), (right, bottom), fill, -1)
        elif kind == 3:
            axes = (max(4, (right - left) // 2), max(4, (bottom - top) // 2))
            cv2.ellipse(picture, ((left + right) // 2, (top + bottom) // 2), axes, 0, 0, 360, fill, -1, cv2.LINE_AA)
            cv2.ellipse(picture, ((left + right) // 2, (top + bottom) // 2), axes, 0, 0, 360, line, thick, cv2.LINE_AA)
        if kind in {1, 2, 4}:
            cv2.rectangle(picture, (left, top), (right, bottom), line, thick)
        if kind == 5:
            cv2.line(picture, (left, top), (right, bottom if random.random() < 0.5 else top), line, thick, cv2.LINE_AA)
    return picture
