"""Plain ground: a surface of colour that the rim of a region determines. What differs from it is text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.geometry import overlapping_strips, strips
from models.strokes.novelty import Bools, Field

_MAX_SAMPLES = 800
_NEAR_PX = 4
_LEAST_RIM_PX = 40
_FIRST = 40.0
"""Levels of 255: how far from the median colour what is fitted first."""
_STRICT, _LOOSE, _EXACT = (4.0, 0.92, 1.3), (10.0, 0.85, 3.5), (4.0, 0.9, 0.6)
"""How far from the surface what it explains: a rim of which it explains this share, with this median error in levels,
is plain. The loose ones allow for what compression leaves beside letters.
"""
_ONE_GROUND, _LEAST_GROUND, _LEAST_EXACT, _MOST_EXACT = 24.0, 0.35, 0.5, 0.7
"""Levels from the commonest colour that still are the same ground, and the share of a region that this has to be."""
_ONE_PIECE = 0.6
"""Of the ground of a sign or a balloon; letters cut off little of it."""
_PAINT, _BESIDE_PAINT_PX = 48.0, 3
_OVER_EDGE_PX = 2
"""Letters may stick so far out of their region."""
_VISIBLE, _CLEAR = 5.0, 14.0
"""Levels of 255, of the channel that differs most."""
_BLUR_PX = 2


@dataclass(frozen=True, slots=True)
class _Surface:
    """Quadratic, over a crop; its colours are made where they are looked at. ``coefficients``: ``(6, 3)``."""

    across: Field
    down: Field
    coefficients: Field

    def colours(self, rows: slice) -> Field:
        """``(rows, W, 3)``."""
        return _polynomial(self.across, self.down[rows], self.coefficients)


def plain_strokes(rgb: Image, inside: Bools, rim: Bools, loosely: bool = False) -> Bools | None:
    """What differs, in the crop ``rgb`` ``(H, W, 3)``, from a quadratic surface through the colours of ``rim``.

    ``inside``, ``rim``: the region and its surroundings, ``(H, W)``. None where these are no plain colour or gradient;
    ``loosely``: but for some noise.
    """
    # What touches the region tells most: further out may be a sign's frame, or another ground.
    near = rim & (cv2.dilate(inside.astype(np.uint8), np.ones((2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1), np.uint8)) > 0)
    for ring in (near, rim):
        surface = _plain_surface(rgb, ring, _LOOSE if loosely else _STRICT)
        if surface is not None:
            return _differing(rgb, surface)
    return None


def commonest(rgb: Image, where: Bools) -> Field:
    """The most frequent colour there, RGB, to 16 levels."""
    most = int(np.bincount(colour_cells(rgb)[where]).argmax())
    return np.array([most >> 8, most >> 4 & 15, most & 15], np.float32) * 16 + 8


def colour_cells(rgb: Image) -> NDArray[np.uint16]:
    """Each pixel's colour to 16 levels: four bits a channel, blue the lowest."""
    red, green, blue = (rgb[..., channel].astype(np.uint16) >> 4 for channel in range(3))
    return np.asarray(red << 8 | green << 4 | blue, np.uint16)


def off_colour(rgb: Image, colour: Field) -> Field:
    """How far each pixel ``(H, W)`` is from a colour, in levels."""
    return _off(rgb, lambda rows: colour)


def _off(rgb: Image, colours: Callable[[slice], Field]) -> Field:
    off = np.empty(rgb.shape[:2], np.float32)
    for rows in strips(len(rgb)):
        off[rows] = largest(rgb[rows] - colours(rows))
    return off


def framed_strokes(rgb: Image, inside: Bools, exactly: bool = False) -> Bools | None:
    """The letters on a sign or in a balloon whose frame the region covers or touches: its ground is not the one around.

    Much of the region has to be of one plain colour or gradient. What differs from it and goes on outside of the region
    is the frame, and what lies beyond it. None: it is not like that. ``exactly``: the ground has no noise to speak of,
    and is half of the region, so it is no photograph; nor is it what shows between the dots of a tone.
    """
    limits, least = (_EXACT, _LEAST_EXACT) if exactly else (_LOOSE, _LEAST_GROUND)
    middle = commonest(rgb, inside)
    alike = inside & (off_colour(rgb, middle) < _ONE_GROUND)
    # Without what touches anything else: blurred edges, and most of the ringing of compression.
    ground = alike & (cv2.erode(alike.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
    enough = alike.sum() >= least * inside.sum() and _in_one_piece(alike)
    surface = _plain_surface(rgb, ground, limits) if enough else None
    if surface is None:
        return None
    drawn, beyond = _differing(rgb, surface), ~_grown(inside, _OVER_EDGE_PX)
    if exactly and np.count_nonzero(drawn & inside) > _MOST_EXACT * np.count_nonzero(inside):
        return None
    # The ringing of compression ties letters to their frame, but is weaker than both.
    paint = _off(rgb, surface.colours) > _PAINT
    letters = _apart(drawn, beyond) | (drawn & _grown(_apart(paint, beyond), _BESIDE_PAINT_PX))
    return letters if (letters & inside).any() else None


def _in_one_piece(ground: Bools) -> bool:
    """Bold letters of one colour may cover half of their region, too; the ground between letters hangs together."""
    _, labels = cv2.connectedComponents(ground.astype(np.uint8))
    return bool(np.bincount(labels[ground]).max() >= _ONE_PIECE * np.count_nonzero(ground))


def _apart(drawn: Bools, beyond: Bools) -> Bools:
    """The components that do not reach so far."""
    count, labels = cv2.connectedComponents(drawn.astype(np.uint8))
    apart = np.ones(count, bool)
    apart[0], apart[labels[beyond]] = False, False
    return np.asarray(apart[labels], bool)


def _differing(rgb: Image, surface: _Surface) -> Bools:
    drawn = np.empty(rgb.shape[:2], bool)
    for rows, wider, strip in overlapping_strips(len(rgb), _BLUR_PX):
        difference = rgb[wider] - surface.colours(wider)
        faint = largest(difference)
        # The ringing of compression changes its sign from pixel to pixel, soft edges and shadows do not.
        smooth = largest(cv2.GaussianBlur(difference, (2 * _BLUR_PX + 1,) * 2, 1.0))
        drawn[rows] = ((faint > _CLEAR) | ((faint > _VISIBLE) & (smooth > _VISIBLE)))[strip]
    return _grown(drawn, 1)


def _grown(mask: Bools, by_px: int) -> Bools:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1,) * 2, np.uint8)) > 0)


def largest(difference: NDArray[Any]) -> Field:
    """Of the three channels, without sign; by planes, which is ten times as fast as a maximum over the last axis."""
    first, second, third = cv2.split(np.abs(difference))
    return np.asarray(np.maximum(np.maximum(first, second), third), np.float32)


def _plain_surface(rgb: Image, rim: Bools, limits: tuple[float, float, float] = _STRICT) -> _Surface | None:
    within, least_share, most_spread = limits
    ys, xs = np.nonzero(rim)
    if len(ys) < _LEAST_RIM_PX:
        return None
    step = max(1, len(ys) // _MAX_SAMPLES)
    ys, xs = ys[::step], xs[::step]
    colours = rgb[ys, xs].astype(np.float32)
    height, width = rim.shape
    basis = _basis(xs * (2 / width) - 1, ys * (2 / height) - 1)
    inside = np.abs(colours - np.median(colours, axis=0)).max(1) < _FIRST
    errors = np.zeros(len(ys), np.float32)
    coefficients = np.zeros((6, 3), np.float32)
    for _ in range(3):
        if inside.mean() < 0.5:
            return None
        matrix = basis[inside]
        # A touch of ridge: a rim on one side only must not let the surface run away on the other.
        normal = matrix.T @ matrix + np.diag([0, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2]) * len(matrix)
        coefficients = np.linalg.solve(normal, matrix.T @ colours[inside]).astype(np.float32)
        errors = np.abs(colours - basis @ coefficients).max(1)
        inside = errors <= within
    if inside.mean() < least_share or float(np.median(errors)) > most_spread:
        return None
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    return _Surface(across, down, coefficients)


def _basis(x: NDArray[np.float64], y: NDArray[np.float64]) -> Field:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1).astype(np.float32)


def _polynomial(across: Field, down: Field, c: Field) -> Field:
    """``(len(down), len(across), 3)``: the polynomial with coefficients ``c`` ``(6, 3)``."""
    rows = c[0] + down[:, None] * c[2] + (down * down)[:, None] * c[5]
    columns = across[:, None] * c[1] + (across * across)[:, None] * c[3]
    product = down[:, None, None] * (across[:, None] * c[4])[None]
    return np.asarray(rows[:, None] + columns[None] + product, np.float32)
