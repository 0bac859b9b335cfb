"""Procedural backgrounds and scikit-image's own photographs: RGB uint8, the same for the same generator."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from models.engine import Image

Background = Callable[[np.random.Generator, int, int], Image]


def flat(rng: np.random.Generator, height: int, width: int) -> Image:
    return np.broadcast_to(_colour(rng), (height, width, 3)).astype(np.uint8)


def gradient(rng: np.random.Generator, height: int, width: int) -> Image:
    ys, xs = np.mgrid[0:height, 0:width]
    angle = rng.uniform(0, 2 * np.pi)
    along = (np.cos(angle) * xs / width + np.sin(angle) * ys / height + 1.5) / 3
    first, second = _colour(rng), _colour(rng)
    return _to_uint8(first + (second - first) * along[..., np.newaxis])


def paper(rng: np.random.Generator, height: int, width: int) -> Image:
    grain = cv2.GaussianBlur(rng.normal(0, 10, (height, width)), (0, 0), 1.2)
    stains = _clouds(rng, height, width, 40) * 12
    return _to_uint8(np.array([236, 229, 211]) + (grain + stains)[..., np.newaxis])


def waves(rng: np.random.Generator, height: int, width: int) -> Image:
    ys, xs = np.mgrid[0:height, 0:width]
    phase = np.sin(xs / rng.uniform(9, 18) + 2 * np.sin(ys / rng.uniform(14, 25)))
    middle = _colour(rng)
    return _to_uint8(middle + phase[..., np.newaxis] * rng.uniform(10, 25, 3))


def tone(rng: np.random.Generator, height: int, width: int) -> Image:
    """Screen tone as in manga: dots on a tilted grid."""
    ys, xs = np.mgrid[0:height, 0:width]
    pitch = int(rng.integers(5, 9))
    dots = ((xs + ys) % pitch - pitch / 2) ** 2 + ((xs - ys) % pitch - pitch / 2) ** 2
    ink = dots < (pitch * rng.uniform(0.25, 0.4)) ** 2
    return np.repeat(np.where(ink, 120, 250)[..., np.newaxis], 3, 2).astype(np.uint8)


def clouds(rng: np.random.Generator, height: int, width: int) -> Image:
    share = (_clouds(rng, height, width, 30) + 1)[..., np.newaxis] / 2
    return _to_uint8(np.array([90, 140, 210]) * (1 - share) + np.array([245, 245, 250]) * share)


def photograph(rng: np.random.Generator, height: int, width: int) -> Image:
    names = ("astronaut", "chelsea", "coffee", "rocket")
    picture = np.asarray(getattr(data, names[int(rng.integers(len(names)))])(), np.uint8)
    scale = max(1.0, height / picture.shape[0], width / picture.shape[1])
    size = (int(picture.shape[1] * scale) + 1, int(picture.shape[0] * scale) + 1)
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    top = int(rng.integers(picture.shape[0] - height + 1))
    left = int(rng.integers(picture.shape[1] - width + 1))
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


BACKGROUNDS: dict[str, Background] = {
    "flat": flat,
    "gradient": gradient,
    "paper": paper,
    "waves": waves,
    "tone": tone,
    "clouds": clouds,
    "photograph": photograph,
}


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(20, 245, 3)


def _clouds(rng: np.random.Generator, height: int, width: int, sigma_px: float) -> NDArray[np.float64]:
    """Smooth noise in -1..1."""
    total = np.zeros((height, width))
    for octave in range(3):
        layer = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), sigma_px / 2**octave)
        total += layer / (np.abs(layer).max() + 1e-9) / 2**octave
    return np.asarray(total / np.abs(total).max())


def _to_uint8(values: NDArray[np.float64]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
