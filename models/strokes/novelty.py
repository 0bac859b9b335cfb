"""How far each pixel's colour is from the colours around a region, in CIELAB (Delta E 76)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.geometry import strips

Bools = NDArray[np.bool_]
Field = NDArray[np.float32]

_MAX_COLOURS = 160
_FAR = 80.0
_CELLS = 26 << 12


def novelty(rgb: Image, rim: Bools) -> Field:
    """Distance of each pixel of ``rgb`` ``(H, W, 3)`` to the nearest colour that is frequent in ``rim`` ``(H, W)``.

    Colours are told apart in steps of 4 CIELAB units; 80 where ``rim`` is empty, and at most.
    """
    cells, counts, rim_counts = np.empty(rim.shape, np.int32), *np.zeros((2, _CELLS), np.intp)
    for rows in strips(len(rgb)):
        lab = cv2.cvtColor(rgb[rows], cv2.COLOR_RGB2LAB).astype(np.int32)
        # OpenCV's 8 bits hold L x 2.55, a + 128 and b + 128.
        cells[rows] = ((lab[..., 0] * 100 // 255) >> 2) << 12 | (lab[..., 1] >> 2) << 6 | lab[..., 2] >> 2
        counts += np.bincount(cells[rows].ravel(), minlength=_CELLS)
        rim_counts += np.bincount(cells[rows][rim[rows]], minlength=_CELLS)
    used = np.flatnonzero(counts)
    around = rim_counts[used]
    total = int(around.sum())
    if not total:
        return np.full(rim.shape, _FAR, np.float32)
    order = np.argsort(around, kind="stable")[::-1][:_MAX_COLOURS]
    frequent = order[around[order] >= max(1, 0.002 * total)]
    points = np.stack([used >> 12, (used >> 6) & 63, used & 63], axis=1).astype(np.float32) * 4
    known = points[frequent if len(frequent) else order[:1]]
    squares = (points**2).sum(1)[:, None] - 2 * points @ known.T + (known**2).sum(1)
    nearest = np.sqrt(np.maximum(squares.min(1), 0))
    distances = np.zeros(_CELLS, np.float32)
    distances[used] = np.minimum(nearest, _FAR)
    return np.asarray(distances[cells], np.float32)
