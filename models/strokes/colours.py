"""Letters in full: what has the colour of strokes that were found, and belongs to them, is stroke too.

The network leaves slivers within letters, and whole letters where the ground is restless. Text is of few colours.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.strokes.novelty import Bools, Field
from models.strokes.plain import colour_cells

_CORE_PX = 2
"""Masks reach about so far over the strokes' edges."""
_LEAST_PX = 30
_UNSURE_PX = 8.0
"""Of a colour, how many pixels more than there are would have to be text."""
_MOSTLY, _CLEARLY = 0.5, 0.7
"""Share of a region's pixels of a colour that are strokes: enough beside a stroke, and enough anywhere."""
_HARDLY = 0.1
"""Share of a region's pixels of a colour that are strokes, where it is the ground's."""
_BESIDE_PX, _SOFT_PX = 2, 1
_GAP_PX = 11
_OUTSIDE_PX, _MOST_OUTSIDE = 3, 3
"""What goes on outside of the region, further than so many pixels in so wide a rim, is a frame, or ground."""
_TIMES_AS_THICK = 1.5


def completed(rgb: Image, strokes: Bools, inside: Bools, others: Bools) -> Bools:
    """What ``strokes`` lack. All of the crop's shape ``(H, W)``; ``inside``: the region; ``others``: the other ones."""
    core = cv2.erode(strokes.astype(np.uint8), _square(_CORE_PX)) > 0
    if np.count_nonzero(core) < _LEAST_PX:
        return np.zeros_like(strokes)
    share = share_of_colour(rgb, core & inside, inside)
    alike = (share >= _MOSTLY) & ~others
    count, labels = cv2.connectedComponents(alike.astype(np.uint8))
    taken = np.zeros(count, bool)
    taken[labels[_grown(strokes, _BESIDE_PX) & alike & inside]] = True
    taken[labels[(share >= _CLEARLY) & alike & inside]] = True
    rim = _grown(inside, _OUTSIDE_PX) & ~inside
    taken &= np.bincount(labels[rim], minlength=count) < _MOST_OUTSIDE
    taken &= _thickness(labels, alike, count) <= _TIMES_AS_THICK * _usual_thickness(alike, core) + 1
    taken[0] = False
    more = taken[labels] | (_closed(strokes) & alike)
    return np.asarray(_grown(more, _SOFT_PX) & inside & ~strokes, bool)


def beside(rgb: Image, strokes: Bools, inside: Bools) -> Bools:
    """What of ``strokes`` lies beside them: it has the ground's colour, and no stroke's edge is near."""
    core = cv2.erode(strokes.astype(np.uint8), _square(_CORE_PX)) > 0
    share = share_of_colour(rgb, core & inside, inside)
    return np.asarray(strokes & (share < _HARDLY) & ~_grown(strokes & (share >= _MOSTLY), _CORE_PX), bool)


def share_of_colour(rgb: Image, core: Bools, inside: Bools) -> Field:
    """Of the region's pixels of about each pixel's colour, how many are of the core."""
    cells = colour_cells(rgb)
    ours, all_ = colour_counts(cells, core), colour_counts(cells, inside)
    return (ours / (all_ + _UNSURE_PX)).astype(np.float32).ravel()[cells]


def colour_counts(cells: NDArray[np.uint16], where: Bools) -> NDArray[np.intp]:
    """How many pixels ``where`` is set have about each colour, ``(16, 16, 16)``: sums over three by three by three."""
    counts = np.bincount(cells[where], minlength=16**3).reshape(16, 16, 16)
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if axis == other else (0, 0) for other in range(3)])
        size = counts.shape[axis]
        counts = sum((np.take(padded, range(at, at + size), axis) for at in (1, 2)), np.take(padded, range(size), axis))
    return counts


def _usual_thickness(alike: Bools, core: Bools) -> float:
    within = _depth(alike)[core & alike]
    return float(np.quantile(within, 0.98)) if len(within) else 0.0


def _thickness(labels: NDArray[Any], alike: Bools, count: int) -> Field:
    """Of each component, from its middle to its edge."""
    most = np.zeros(count, np.float32)
    np.maximum.at(most, labels[alike], _depth(alike)[alike])
    return most


def _depth(mask: Bools) -> Field:
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.minimum(depth, sum(mask.shape)), np.float32)  # without an edge it has no end


def _closed(mask: Bools) -> Bools:
    """With gaps between strokes, and within them."""
    padded = np.pad(mask.astype(np.uint8), _GAP_PX)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GAP_PX, _GAP_PX))
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    return np.asarray(closed[_GAP_PX:-_GAP_PX, _GAP_PX:-_GAP_PX] > 0)


def _grown(mask: Bools, by_px: int) -> Bools:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _square(by_px)) > 0)


def _square(by_px: int) -> NDArray[np.uint8]:
    return np.ones((2 * by_px + 1,) * 2, np.uint8)
