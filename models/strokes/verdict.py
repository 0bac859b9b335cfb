"""Whether text is still visible where it was replaced."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Image
from models.geometry import Box
from models.strokes.background import Bools
from models.strokes.finder import strokes_in_crop

_VISIBLE_LEVELS = 14.0
"""CIELAB, of an edge over three pixels: fainter edges are taken for grain."""
ERASED_BELOW = 0.07


@dataclass(frozen=True, slots=True)
class Residual:
    """``score``: 0 (nothing left) to 1 (as it was)."""

    score: float
    erased: bool


def residual(before: Image, after: Image, strokes: Bools, box: Box, occupied: Bools) -> Residual:
    """Judge one region: what stands out in ``after`` where ``before`` had strokes, and keeps their edges.

    ``before`` and ``after``: whole images of one shape. ``strokes``: of the shape of ``box``, what was taken for text.
    ``occupied``: of the shape of the image, all regions; their pixels are not background.
    """
    if not strokes.any():
        return Residual(0.0, erased=True)
    left = strokes_in_crop(after, box, occupied)
    near = cv2.dilate(strokes.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    was, now = _edges(before[rows, columns]), _edges(after[rows, columns])
    strong = near & (was > _VISIBLE_LEVELS)
    if not strong.any():
        return Residual(0.0, erased=True)
    kept = np.minimum(now / was.clip(1), 1) * (now > _VISIBLE_LEVELS)
    # Edges that stay only count where something stands out from the background: a pattern has edges of its own.
    about = cv2.dilate(left.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    score = float((kept * about)[strong].sum() / strong.sum())
    return Residual(round(score, 4), erased=score < ERASED_BELOW)


def _edges(rgb: Image) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0) / 4
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1) / 4
    return np.asarray(np.sqrt((across**2 + down**2).sum(2)))
