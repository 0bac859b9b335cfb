"""Whether text is still visible where it was replaced."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Checkpoint, Image, unstopped
from models.geometry import overlapping_strips
from models.strokes.finder import Strokes, likelihood
from models.strokes.novelty import Bools, Field

ERASED_BELOW = 0.06
_WIDEST_BLUR_PX = 16.0
"""Wider ones are made of smaller copies: their work would grow with the third power of a region's side."""
_EDGE_LEVELS = 20.0
"""Squares of grey levels a pixel, of all channels and directions: weaker edges than this are no evidence of text."""


@dataclass(frozen=True, slots=True)
class Residual:
    """``score``: 0 (nothing left) to 1 (as it was)."""

    score: float
    erased: bool


def residual(
    before: Image, after: Image, strokes: Strokes, cover: Bools, occupied: Bools, checkpoint: Checkpoint = unstopped
) -> Residual:
    """Judge one region: a stroke is left where one is found again and the edges there are those that it had.

    Either alone is deceived: a pattern that a perfect fill brought back looks like text to the finder, and some of its
    edges are where edges of letters were. ``before`` and ``after``: whole images of one shape. ``strokes``: what was
    found in ``before``; ``cover``: which pixels of its box the region covers; ``occupied``: all regions, of the shape
    of the image.
    """
    was = strokes.likelihood
    expected = float(was.sum())
    if expected < 1:
        return Residual(0.0, erased=True)
    box = strokes.box
    found_again = np.minimum(was, likelihood(after, box, cover, occupied, checkpoint))
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    same = _same_edges(before[rows, columns], after[rows, columns], was > 0.4)
    score = float((found_again * same).sum()) / expected
    return Residual(round(score, 4), erased=score < ERASED_BELOW)


def _same_edges(before: Image, after: Image, strokes: Bools) -> Field:
    """How much of the edges of ``before`` about each pixel is in ``after``, 0 to 1: the local coefficient of regression
    of one gradient on the other, about as wide as a letter.
    """
    kept, had = np.empty((2, *strokes.shape), np.float32)
    for rows, wider, strip in overlapping_strips(len(strokes), 1):
        was, now = _gradients(before[wider])[strip], _gradients(after[wider])[strip]
        kept[rows] = np.einsum("ijk,ijk->ij", was, now)
        had[rows] = np.einsum("ijk,ijk->ij", was, was)
    near = cv2.dilate(strokes.astype(np.uint8), np.ones((3, 3), np.uint8))
    width_px = max(3.0, min(strokes.shape) / 6)
    kept, had = _blurred(kept * near, width_px), _blurred(had * near, width_px)
    return np.asarray(np.clip(kept / (had + _EDGE_LEVELS), 0, 1), np.float32)


def _blurred(values: Field, sigma_px: float) -> Field:
    """By a Gaussian."""
    height, width = values.shape
    times = max(1, round(sigma_px / _WIDEST_BLUR_PX))
    if times == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px), np.float32)
    copy = cv2.resize(values, (-(-width // times), -(-height // times)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(copy, (0, 0), sigma_px / times)
    return np.asarray(cv2.resize(blurred, (width, height)), np.float32)


def _gradients(rgb: Image) -> Field:
    """Levels a pixel: three channels across, three down."""
    values = rgb.astype(np.float32)
    across, down = cv2.Sobel(values, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(values, cv2.CV_32F, 0, 1, scale=0.25)
    return np.concatenate([across, down], axis=2)
