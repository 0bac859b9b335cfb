"""Ringing: what JPEG leaves of letters in the rest of the blocks that they touch.

On even ground it shows, and a surface tells what was there instead. Anywhere else it drowns in what the ground shows.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.engines.classic.smooth import fit_surface, quadratic
from models.geometry import strips
from models.strokes.means import means_by_strips
from models.strokes.novelty import Bools, Field
from models.strokes.plain import commonest, largest, off_colour

_NEAR_LEVELS, _ALIKE_LEVELS = 40.0, 24.0
"""From the commonest colour, of what the ground's surface is fitted to; from that surface, of what is ringing."""
_EVEN_LEVELS = 4.0
_LEAST_SHARE = 0.9
"""Of the ground between the strokes has to be so near to the surface; and of that, in the mean over a few pixels."""
_LEAST_PX, _LEAST_OF_REGION = 60, 0.05
"""Of ground between the strokes, or its surface is a guess."""
_BESIDE_PX = 2
_BLOCK_PX, _LEAST_KNOWN, _QUIETEST = 8, 0.5, 0.1
_TIMES_GRAIN, _VISIBLE_LEVELS = 1.5, 0.3
"""It rings where there is so much more detail than in the quietest tenth of the crop."""


def without_ringing(rgb: Image, strokes: Bools, inside: Bools, touched: Bools) -> tuple[Field, Bools] | None:
    """The even ground of a region, RGB ``(H, W, 3)``, and where it shall be put: in the ``touched`` blocks, beside the
    region too, but not over strokes or anything that is not this ground. All are of the crop's shape ``(H, W)``.

    None: the ground between the region's ``strokes`` is not even.
    """
    ground = inside & ~strokes & touched
    if np.count_nonzero(ground) < max(_LEAST_PX, _LEAST_OF_REGION * np.count_nonzero(inside)):
        return None
    near = ground & (off_colour(rgb, commonest(rgb, ground)) < _NEAR_LEVELS)
    if np.count_nonzero(near) < _LEAST_SHARE * np.count_nonzero(ground):
        return None
    rows, columns = np.nonzero(near)
    surface, off = _surface(rgb, fit_surface(rgb, rows, columns))
    alike = (largest(off) <= _ALIKE_LEVELS) & ~strokes
    near = ground & alike
    if np.count_nonzero(near) < _LEAST_SHARE * np.count_nonzero(ground):
        return None
    even = sum(
        np.count_nonzero(largest(means)[near[rows]] <= _EVEN_LEVELS) for rows, means in means_by_strips(off, near)
    )
    if even < _LEAST_SHARE * np.count_nonzero(near) or not _rings(off, alike, near):
        return None
    other = (~alike & ~strokes).astype(np.uint8)
    beside = cv2.dilate(other, np.ones((2 * _BESIDE_PX + 1,) * 2, np.uint8)) > 0
    return surface, np.asarray(touched & alike & ~beside, bool)


def _surface(rgb: Image, coefficients: NDArray[np.float64]) -> tuple[Field, Field]:
    """Its colours, and how far the crop's are from them; both ``(H, W, 3)``."""
    surface, off = np.empty((2, *rgb.shape), np.float32)
    down, across = np.arange(rgb.shape[0]), np.arange(rgb.shape[1])
    for rows in strips(len(rgb)):
        y, x = np.broadcast_arrays(down[rows, None], across)
        colours = quadratic(y, x, rgb.shape[:2]) @ coefficients
        surface[rows], off[rows] = np.clip(colours, 0, 255), rgb[rows] - colours
    return surface, off


def _rings(off: Field, alike: Bools, ground: Bools) -> bool:
    """Whether there is more detail in the ground than where the crop has least of it: a paper's grain stays."""
    squared = np.empty(alike.shape, np.float32)
    for rows, means in means_by_strips(off, alike):
        squared[rows] = ((off[rows] - means) ** 2).mean(2)
    size = (_BLOCK_PX, _BLOCK_PX)
    share = cv2.blur(alike.astype(np.float32), size)
    known = share >= _LEAST_KNOWN
    if not known.any():
        return True
    grain = float(np.quantile(cv2.blur(squared * alike, size)[known] / share[known], _QUIETEST))
    return float(np.sqrt(squared[ground].mean())) > _TIMES_GRAIN * float(np.sqrt(max(0.0, grain))) + _VISIBLE_LEVELS
