"""Ringing: what JPEG leaves of letters in the rest of the blocks that they touch.

On even ground it shows, and a surface tells what was there instead. Anywhere else it drowns in what the ground shows.
"""

import cv2
import numpy as np

from models.engine import Image
from models.engines.classic.smooth import fit_surface, quadratic
from models.strokes.novelty import Bools, Field
from models.strokes.plain import commonest, largest

_NEAR_LEVELS, _ALIKE_LEVELS = 40.0, 24.0
"""From the commonest colour, of what the ground's surface is fitted to; from that surface, of what is ringing."""
_MEAN_PX, _EVEN_LEVELS = 3.0, 4.0
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
    near = ground & (largest(rgb - commonest(rgb, ground)) < _NEAR_LEVELS)
    if np.count_nonzero(near) < _LEAST_SHARE * np.count_nonzero(ground):
        return None
    rows, columns = np.nonzero(near)
    whole = np.indices(ground.shape)
    surface = quadratic(whole[0], whole[1], ground.shape) @ fit_surface(rgb, rows, columns)
    off = (rgb - surface).astype(np.float32)
    alike = (largest(off) <= _ALIKE_LEVELS) & ~strokes
    even = largest(_mean(off, ground & alike))[ground & alike] <= _EVEN_LEVELS
    if np.count_nonzero(ground & alike) < _LEAST_SHARE * np.count_nonzero(ground) or even.mean() < _LEAST_SHARE:
        return None
    if not _rings(off - _mean(off, alike), alike, ground & alike):
        return None
    other = (~alike & ~strokes).astype(np.uint8)
    beside = cv2.dilate(other, np.ones((2 * _BESIDE_PX + 1,) * 2, np.uint8)) > 0
    return np.asarray(np.clip(surface, 0, 255), np.float32), np.asarray(touched & alike & ~beside, bool)


def _rings(detail: Field, alike: Bools, ground: Bools) -> bool:
    """Whether there is more detail in the ground than where the crop has least of it: a paper's grain stays."""
    squared = (detail**2).mean(2)
    size = (_BLOCK_PX, _BLOCK_PX)
    share = cv2.blur(alike.astype(np.float32), size)
    known = share >= _LEAST_KNOWN
    if not known.any():
        return True
    grain = float(np.quantile(cv2.blur(squared * alike, size)[known] / share[known], _QUIETEST))
    return float(np.sqrt(squared[ground].mean())) > _TIMES_GRAIN * float(np.sqrt(max(0.0, grain))) + _VISIBLE_LEVELS


def _mean(values: Field, known: Bools) -> Field:
    weight = known.astype(np.float32)
    sums = cv2.GaussianBlur(values * weight[..., None], (0, 0), _MEAN_PX)
    return np.asarray(sums / np.maximum(cv2.GaussianBlur(weight, (0, 0), _MEAN_PX), 1e-3)[..., None], np.float32)
