"""Large letters of a plain colour: they end sharply, do not go on beyond their region, and reach across it.

The network knows letters of up to 80 pixels, and takes what lies between larger ones for text as well. Their colour is
told from the ground's without it: ground goes on outside of the region, or ends in soft slopes.
"""

import cv2
import numpy as np

from models.engine import Image
from models.strokes.colours import colour_counts
from models.strokes.novelty import Bools, Field
from models.strokes.plain import colour_cells, off_colour

_MOST_COLOURS, _LEAST_SHARE = 6, 0.03
"""Of a region's pixels, that a colour needs. Two-coloured letters with an outline have three; ground has its own."""
_NEAR, _NEARER, _OTHER = 24.0, 14.0, 36.0
"""Levels: around a cell's middle, around the colour itself, and clearly another one."""
_CONTAINED, _REACHING, _CRISP = 0.5, 0.4, 0.95
"""Shares that letters have: of their colour's pixels that do not go on beyond the region, of its width and height that
they span, and of their edge that is crisp. Parts of photographs that are contained have hardly one crisper than 0.9.
"""
_OVER_EDGE_PX, _EDGE_PX = 2, 3
_LEAST_DEPTH_PX, _MOST_DEPTH = 2.0, 0.3
"""From the middle of a stroke to its edge; the most as a share of the region's smaller side."""
_LEAST_LETTER = 0.12
"""Of the region's smaller side: the side of a square as large as most letters; dots of a tone are smaller."""
_FULL = 0.8
"""Of the region's width and height, that a frame has."""
_LOOKED_AT_PX = 128
"""Higher and wider regions are looked at in every second pixel, or third, and so on."""


def solid_letters(rgb: Image, inside: Bools, others: Bools) -> Bools:
    """The plain parts of letters in the crop ``rgb`` ``(H, W, 3)``, without their soft edges; none where none are sure.

    ``inside``: the region; ``others``: the other regions; ``(H, W)``.
    """
    height, width = _extent(inside)
    step = max(1, min(height, width) // _LOOKED_AT_PX)
    few = slice(None, None, step), slice(None, None, step)
    seen, region = np.ascontiguousarray(rgb[few]), np.ascontiguousarray(inside[few])
    beyond = ~(_grown(region, _OVER_EDGE_PX) | others[few])
    beyond[[0, -1]], beyond[:, [0, -1]] = True, True  # what ends with the crop need not end there
    letters = np.zeros(inside.shape, bool)
    for colour, alike in _colours(seen, region):
        kept, of = _contained(alike, beyond, _extent(region))
        kept &= region
        if np.count_nonzero(kept) >= _CONTAINED * of and _are_letters(seen, colour, kept, region):
            near = cv2.resize(kept.astype(np.uint8), inside.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
            letters |= _grown(near, step - 1) & (off_colour(rgb, colour) <= _NEARER)
    return letters & inside


def _colours(rgb: Image, inside: Bools) -> list[tuple[Field, Bools]]:
    """The commonest colours of the region, each with the crop's pixels that have it."""
    cells, left, least = colour_cells(rgb), inside.copy(), _LEAST_SHARE * np.count_nonzero(inside)
    found = list[tuple[Field, Bools]]()
    for _ in range(_MOST_COLOURS):
        counts = colour_counts(cells, left).ravel()
        most = int(counts.argmax())
        if counts[most] < least:
            break
        colour = np.array([most >> 8, most >> 4 & 15, most & 15], np.float32) * 16 + 8
        for near in (_NEAR, _NEARER):
            having_it = rgb[left & (off_colour(rgb, colour) <= near)]
            if not len(having_it):
                return found
            colour = np.median(having_it, axis=0).astype(np.float32)
        alike = off_colour(rgb, colour) <= _NEARER
        left &= ~alike
        found.append((colour, alike))
    return found


def _contained(alike: Bools, beyond: Bools, size: tuple[int, int]) -> tuple[Bools, int]:
    """What does not reach ``beyond``, and the pixels of all, but for frames as large as a region of that ``size``."""
    count, labels, pieces, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8))
    contained, letters = np.ones(count, bool), np.ones(count, bool)
    contained[0], contained[labels[beyond]], letters[0] = False, False, False
    for piece in np.flatnonzero(contained):
        left, top, width, height = pieces[piece, :4]
        if min(height / size[0], width / size[1]) >= _FULL:
            rows, columns = (slice(at + by // 4, at + by - by // 4) for at, by in ((top, height), (left, width)))
            letters[piece] = (labels[rows, columns] == piece).any()
    return np.asarray((contained & letters)[labels], bool), int(pieces[letters, cv2.CC_STAT_AREA].sum())


def _are_letters(rgb: Image, colour: Field, kept: Bools, inside: Bools) -> bool:
    pixels = np.count_nonzero(kept)
    if pixels < max(_LEAST_SHARE * np.count_nonzero(inside), 1):
        return False
    (height, width), (high, wide) = _extent(inside), _extent(kept)
    if min(high / height, wide / width) < _REACHING:
        return False
    pieces = cv2.connectedComponentsWithStats(kept.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA].astype(np.float64)
    if (pieces @ pieces) / pixels < (_LEAST_LETTER * min(height, width)) ** 2:
        return False
    depth = cv2.distanceTransform(kept.astype(np.uint8), cv2.DIST_L2, 3)[kept]
    if not _LEAST_DEPTH_PX <= float(np.quantile(depth, 0.98)) <= _MOST_DEPTH * min(height, width):
        return False
    edge = _grown(kept, _EDGE_PX) & ~_grown(kept, _EDGE_PX - 1)
    return bool(np.mean(off_colour(rgb, colour)[edge] > _OTHER) >= _CRISP)


def _extent(mask: Bools) -> tuple[int, int]:
    """Height and width of what is set."""
    _, _, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return height, width


def _grown(mask: Bools, by_px: int) -> Bools:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1,) * 2, np.uint8)) > 0)
