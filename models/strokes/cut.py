"""Letters that a region's border cuts: what of them is beyond it stays, but it is no ground for a fill."""

import cv2
import numpy as np

from models.engine import Image
from models.strokes.colours import share_of_colour
from models.strokes.finder import Crop, Strokes
from models.strokes.novelty import Bools

_LEAST_REACH_PX, _MOST_REACH_PX = 16, 64
_TOUCHING_PX, _SOFT_PX = 2, 2
_MOSTLY = 0.5
"""Share of a region's pixels of a colour that are strokes: beyond the border, it is theirs."""


def cut_off(image: Image, strokes: Strokes, cover: Bools) -> tuple[tuple[slice, slice], Bools]:
    """Where in the image, and which pixels there, strokes go on beyond their region, the ``cover`` of their box."""
    reach_px = min(max(_LEAST_REACH_PX, strokes.box.height), _MOST_REACH_PX)
    crop = Crop.around(image, strokes.box, reach_px)
    inside, ours = crop.placed(cover), crop.placed(strokes.mask)
    alike = (share_of_colour(crop.rgb, ours & ~_grown(~ours, 1), inside) >= _MOSTLY) & ~inside
    count, labels = cv2.connectedComponents(alike.astype(np.uint8))
    taken = np.zeros(count, bool)
    taken[labels[_grown(ours, _TOUCHING_PX) & alike]] = True
    # What goes on further than a letter is a frame, an outline, or ground of the letters' colour.
    taken[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    return crop.view, _grown(taken[labels] & alike, _SOFT_PX) & ~inside


def _grown(mask: Bools, by_px: int) -> Bools:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1,) * 2, np.uint8)) > 0)
