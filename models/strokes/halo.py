"""What text leaves around its strokes: the ringing of compression, the soft ends of blur and shadow.

It is below what anyone calls a stroke, yet a fill that goes on from it carries it into the hole. Where the ground is
even enough for it to be told from the ground's own grain, the mask grows as far as it reaches.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.engines.classic.local_plane import local_plane
from models.strokes.means import SIGMA_PX, Mean, mean_about, means_by_strips
from models.strokes.novelty import Bools, Field
from models.strokes.plain import largest

REACH_PX = 8
"""As far as a halo is looked for: the block of JPEG."""
AROUND_PX = 28
"""Of surroundings in which the ground's own grain is looked for: beyond what JPEG's blocks of chroma reach."""
_MOST = np.float32(15.0**2)
_ROUGH = 4.0**2
"""Squared levels: an edge of the ground counts no more than this; rougher ground hides its halos."""
_EDGE = 40.0**2
_FACTOR, _FLOOR = 1.6, 0.35
_LEAST_PX = 60
_LEAST_AT_STEP_PX = 12
_MOST_EDGES, _BESIDE_EDGES_PX = 0.03, 3
"""Where more of what is kept are sharp edges (a frame, a drawing), the mask grows no further than so much."""


def halo_px(rgb: Image, strokes: Bools, inside: Bools, rim: Bools) -> int:
    """How far from ``strokes`` the pixels of ``inside`` are rougher than ``rim``, 0 to ``REACH_PX``; all ``(H, W)``.

    ``rgb``: the crop ``(H, W, 3)`` with ``AROUND_PX`` of surroundings; ``rim``: those that no region covers.
    """
    distance = cv2.distanceTransform((~strokes).astype(np.uint8), cv2.DIST_L2, 5)
    far = ~inside & (distance > 2 * REACH_PX)
    if np.count_nonzero(far & rim) >= _LEAST_PX:
        far &= rim
    kept = inside & ~strokes & (distance <= REACH_PX)
    if np.count_nonzero(far) < _LEAST_PX or not kept.any():
        return 0
    steps = np.ceil(distance[kept] - 0.01).astype(np.intp)
    reach, edges = 0, 0.0
    # The mean about a pixel is quick, but wrong beside strokes where the ground is bent: what it finds is checked.
    for mean in (mean_about, _plane):
        squared = _squared(rgb, ~strokes, mean)
        reach, edges = _reach(np.minimum(squared, _MOST), far, kept, steps), float((squared[kept] > _EDGE).mean())
        if not reach:
            break
    return reach if edges <= _MOST_EDGES else min(reach, _BESIDE_EDGES_PX)


def _squared(rgb: Image, known: Bools, mean: Mean) -> Field:
    """How far each pixel is from the mean of the ``known`` ones about it, in squared levels."""
    squared = np.empty(known.shape, np.float32)
    for rows, means in means_by_strips(rgb, known, mean):
        squared[rows] = largest(rgb[rows] - means) ** 2
    return squared


def _reach(rough: Field, far: Bools, kept: Bools, steps: NDArray[np.intp]) -> int:
    usual = float(rough[far].mean())
    if usual > _ROUGH:
        return 0
    counts = np.bincount(steps, minlength=REACH_PX + 1)
    totals = np.bincount(steps, weights=rough[kept], minlength=REACH_PX + 1)
    more = (counts >= _LEAST_AT_STEP_PX) & (totals > (_FACTOR * usual + _FLOOR) * counts)
    start = next((step for step in (1, 2) if more[step]), None)
    if start is None:
        return 0
    clean = np.flatnonzero(~more[start:] & (counts[start:] >= _LEAST_AT_STEP_PX))
    return start + int(clean[0]) - 1 if len(clean) else REACH_PX


def _plane(rgb: Image, known: Bools) -> Field:
    return local_plane(rgb, ~known, SIGMA_PX)[0]
