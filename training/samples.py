"""Crops with text whose true strokes are known: what the stroke network learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import jpeg
from models.engine import Image
from models.strokes.novelty import novelty
from training.grounds import Photographs, colour, ground
from training.lettering import Layer, Style, Typeface, layer, warped, words

Random = np.random.Generator
Bools = NDArray[np.bool_]
Values = NDArray[np.float32]
HEIGHT, WIDTH = 128, 256
VISIBLE_LEVELS = 6
"""A pixel is part of a stroke where text changed a channel by more than so many of 255 levels."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Sample:
    """``(HEIGHT, WIDTH)`` each: the crop as shown, true strokes, the region, other regions, the novelty of colour."""

    shown: Image
    strokes: Bools
    inside: Bools
    others: Bools
    novelty: NDArray[np.float32]


def sample(photographs: Photographs, faces: Sequence[Typeface], random: Random) -> Sample:
    """One crop, upright or (a third) on its side, so that columns of text are learnt as well as lines."""
    while True:
        truth = ground(photographs, HEIGHT, WIDTH, random)
        inside, text, ink = _text(truth, faces, random)
        if inside is not None:
            break
    if random.random() < 0.3:
        truth = _label(truth, text, ink, random)
    if random.random() < 0.15:
        # Soft letters on sharp ground; blurred with their alpha, since the colours are premultiplied by it.
        text = np.asarray(cv2.GaussianBlur(text, (0, 0), float(random.uniform(0.6, 2.0))), np.float32)
    alpha = text[..., 3:] / 255
    shown = np.clip(np.rint(text[..., :3] + truth * (1 - alpha)), 0, 255).astype(np.uint8)
    if random.random() < 0.3:
        truth, shown = _erased(truth, shown, random)
    truth, shown = _optics(truth, shown, random)
    strokes = np.abs(shown.astype(np.int16) - truth).max(2) > VISIBLE_LEVELS
    shown = _compressed(shown, random)
    others = _others(strokes, inside, random)
    if random.random() < 0.35:
        flips = [np.ascontiguousarray(np.rot90(a, 2)) for a in (shown, strokes, inside, others)]
        shown, strokes, inside, others = flips
    known = ~inside & ~others
    return Sample(shown, strokes, inside, others, novelty(shown, known))


def _text(truth: Image, faces: Sequence[Typeface], random: Random) -> tuple[Bools | None, Layer, Values]:
    """The region, the letters in and around it, and their colour."""
    vertical = random.random() < 0.18
    size = int(np.exp(random.uniform(np.log(9), np.log(72))))
    face = faces[int(random.integers(len(faces)))]
    pitch = float(random.uniform(1.05, 1.7))
    count = int(random.choice([1, 1, 1, 2, 3, 4])) if size < 40 else 1
    room = HEIGHT if vertical else WIDTH
    length = max(1, int(random.uniform(0.3, 1.0) * room / (size * (1.04 if vertical else 0.55))))
    lines = [words(face, length if not vertical else 2 * length, random) for _ in range(count)]
    if vertical:
        lines = [line[:length] for line in lines]
        spot = (int(random.integers(20, WIDTH - 30)), int(random.integers(2, 20)))
    else:
        reach = int(count * size * pitch)
        spot = (int(random.integers(4, 60)), int(random.integers(2, max(3, HEIGHT - reach - 4))))
    style = _style(truth, size, random)
    picture = layer(lines, face, size, style, vertical, HEIGHT, WIDTH, spot, pitch)
    if random.random() < 0.35:
        picture = warped(picture, random, float(random.choice([3, 15])))
    box = _region(picture[..., 3], spot, size, pitch, count, vertical, random)
    if box is None:
        return None, picture, style.colour
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    if random.random() < 0.05:
        picture = np.zeros_like(picture)  # nothing is written here
    return inside, picture, style.colour


def _label(truth: Image, text: Layer, ink: Values, random: Random) -> Image:
    """A sign, a button or a balloon right around the text: often with a frame in its colour, often no larger than
    the region, which then has another ground around it than in it.
    """
    ys, xs = np.nonzero(text[..., 3] > 8)
    if not len(xs):
        return truth
    truth = truth.copy()
    for _ in range(50):
        fill = colour(random)
        if abs(float((fill - ink) @ _LUMA)) > 50:
            break
    gap_x, gap_y = (int(v) for v in random.integers(-1, 16, 2))
    left, top, right, bottom = xs.min() - gap_x, ys.min() - gap_y, xs.max() + gap_x, ys.max() + gap_y
    line = [int(v) for v in (ink if random.random() < 0.6 else colour(random))]
    paint, thick = [int(v) for v in fill], int(random.integers(1, 8))
    if random.random() < 0.2:
        centre, axes = ((left + right) // 2, (top + bottom) // 2), ((right - left) * 5 // 8, (bottom - top) * 5 // 8)
        cv2.ellipse(truth, centre, axes, 0, 0, 360, paint, -1, cv2.LINE_AA)
        cv2.ellipse(truth, centre, axes, 0, 0, 360, line, thick, cv2.LINE_AA)
        return truth
    if random.random() < 0.8:
        cv2.rectangle(truth, (left, top), (right, bottom), paint, -1)
    if random.random() < 0.7:
        # Its inner edge is where the gap ends.
        half = thick // 2 + 1
        cv2.rectangle(truth, (left - half, top - half), (right + half, bottom + half), line, thick)
    return truth


def _style(truth: Image, size: int, random: Random) -> Style:
    mean = float(truth.reshape(-1, 3).mean(0) @ _LUMA)
    least = float(random.choice([25, 60, 90]))
    for _ in range(50):
        ink = colour(random)
        if abs(float(ink @ _LUMA) - mean) > least:
            break
    edge = np.full(3, 0 if float(ink @ _LUMA) > 127 else 255, np.float32) if random.random() < 0.7 else colour(random)
    second = colour(random) if random.random() < 0.12 else None
    shadowed = random.random() < 0.22
    reach = max(1, size // 9)
    shift = (int(random.integers(-reach, reach + 1)), int(random.integers(-1, reach + 1)))
    return Style(
        colour=ink,
        edge=edge,
        second=second,
        outline_px=int(random.integers(1, max(2, size // 9) + 1)) if random.random() < 0.25 else 0,
        shadow_px=shift if shadowed else None,
        shadow_blur_px=float(random.choice([0, 0, random.uniform(0.8, 4)])),
        shadow_alpha=float(random.uniform(0.4, 1)),
        opacity=float(random.uniform(0.45, 1)) if random.random() < 0.12 else 1.0,
        gradient=random.random() < 0.5,
    )


def _region(
    alpha: NDArray[np.float32],
    spot: tuple[int, int],
    size: int,
    pitch: float,
    count: int,
    vertical: bool,
    random: Random,
) -> tuple[int, int, int, int] | None:
    """Around all text, or around one line of several; never quite tight, sometimes wide."""
    ys, xs = np.nonzero(alpha > 8)
    if len(xs) < 12:
        return None
    margin = int(random.integers(1, 9))
    left, top, right, bottom = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
    if count > 1 and random.random() < 0.7:
        line = int(random.integers(count))
        if vertical:
            left = int(spot[0] - line * size * pitch)
            right = left + int(size * 1.05)
        else:
            top = int(spot[1] + line * size * pitch)
            bottom = top + int(size * 1.2)
        margin = min(margin, 3)
    left, top = max(0, left - margin), max(0, top - margin)
    right, bottom = min(WIDTH, right + margin), min(HEIGHT, bottom + margin)
    if right - left < 8 or bottom - top < 8 or not (alpha[top:bottom, left:right] > 8).any():
        return None
    return left, top, right, bottom


def _erased(truth: Image, shown: Image, random: Random) -> tuple[Image, Image]:
    """Truth and what is shown after a fill: perfect, smeared, or failed: some letters, outlines, a faint ghost left."""
    changed = (np.abs(shown.astype(np.int16) - truth).max(2) > 1).astype(np.uint8)
    kind = int(random.integers(7))
    if kind == 0:
        return truth, truth.copy()
    if kind == 1:
        hole = cv2.dilate(changed, np.ones((3, 3), np.uint8), iterations=2)
        method = cv2.INPAINT_NS if random.random() < 0.5 else cv2.INPAINT_TELEA
        filled = np.asarray(cv2.inpaint(shown, hole, 3, method), np.uint8)
        return filled, filled.copy()
    if kind == 2:
        share = float(random.uniform(0.15, 0.5))
        return truth, np.rint(truth * (1 - share) + shown * share).astype(np.uint8)
    keep = np.zeros((HEIGHT, WIDTH), bool)
    if kind in {3, 4}:
        start = int(random.integers(WIDTH))
        keep[:, start : start + int(random.integers(8, 80 if kind == 3 else WIDTH))] = True
    elif kind == 5:
        keep = cv2.erode(changed, np.ones((3, 3), np.uint8), iterations=int(random.integers(1, 3))) == 0
    else:
        keep = cv2.GaussianBlur(random.normal(size=(HEIGHT, WIDTH)), (0, 0), 6) > 0
    return truth, np.where(keep[..., None], shown, truth)


def _optics(truth: Image, shown: Image, random: Random) -> tuple[Image, Image]:
    if random.random() < 0.25:
        sigma = float(random.uniform(0.5, 1.8))
        truth, shown = (np.asarray(cv2.GaussianBlur(a, (0, 0), sigma), np.uint8) for a in (truth, shown))
    if random.random() < 0.2:
        noise = random.normal(0, random.uniform(1, 8), (HEIGHT, WIDTH, 3))
        truth, shown = (np.clip(np.rint(a + noise), 0, 255).astype(np.uint8) for a in (truth, shown))
    return truth, shown


def _compressed(shown: Image, random: Random) -> Image:
    if random.random() > 0.35:
        return shown
    return jpeg(shown, int(random.integers(40, 96)))


def _others(strokes: Bools, inside: Bools, random: Random) -> Bools:
    """Neighbouring text is usually in a region of its own."""
    if random.random() < 0.3:
        return np.zeros_like(inside)
    beyond = (strokes & ~inside).astype(np.uint8)
    return (cv2.dilate(beyond, np.ones((7, 15), np.uint8)) > 0) & ~inside
