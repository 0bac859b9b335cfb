"""Whether a picture was a JPEG once, and where its blocks lie: many arrive as the PNG that somebody made of one.

Two signs, both counted by where they are in eights of columns and rows: what JPEG leaves of letters on flat ground ends
with their block; and on other ground weak edges are where blocks meet (Li, Yuan and Yu 2009, "Passive detection of
doctored JPEG image via block artifact grid extraction").
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.codec import ColourBlocks
from models.engine import Image
from models.geometry import Box

_BLOCK = 8
_AROUND_PX, _MOST_PX = 24, 600_000
"""Of surroundings of each region; and pixels in all that are looked at."""
_WEAK_LEVELS, _STRONG_LEVELS = 12.0, 40.0
_FLAT_PX = 5
"""So many equal pixels are flat ground."""
_LEAST_ENDS, _ENDS_TIMES = 12, 2.0
_LEAST_EDGES, _EDGES_TIMES = 400, 1.4
"""Counts of the best of eight places, and how many times that of the second best. No picture that never was a JPEG had
as much (docs/quality.md)."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Counts = NDArray[np.int64]


def find_blocks(image: Image, boxes: Iterable[Box]) -> ColourBlocks | None:
    """The blocks around the boxes of a picture, RGB ``(H, W, 3)``. None: it shows none.

    Whether colour has half of the resolution is not seen. It has in most files; where the first block is whole, the
    picture is taken to be as it was made, and blocks of colour for those of most files.
    """
    ends, edges = np.zeros((2, _BLOCK), np.int64), np.zeros((2, _BLOCK), np.int64)
    left = _MOST_PX
    for box in boxes:
        view = box.grown(_AROUND_PX).clip(image.shape[1], image.shape[0])
        if min(view.width, view.height) < 4 * _BLOCK or view.area > left:
            continue
        left -= view.area
        luma = np.rint(image[view.slices] @ _LUMA)
        for axis, (lines, start) in enumerate(((luma, view.left), (luma.T, view.top))):
            steps = np.abs(np.diff(lines, axis=1))
            ends[axis] += _by_place(_ends(steps), start)
            edges[axis] += _by_place(_weak_edges(steps), start)
    found = _clearest(ends, _LEAST_ENDS, _ENDS_TIMES) or _clearest(edges, _LEAST_EDGES, _EDGES_TIMES)
    if found is None:
        return None
    size = 2 * _BLOCK if found == (0, 0) else _BLOCK
    return ColourBlocks(size, size, *found)


def _ends(steps: NDArray[np.float32]) -> Counts:
    """Weak steps, away from strong ones, with flat ground on one side; of each column of pixels that is stepped to."""
    flat, weak, strong = steps == 0, (steps > 0) & (steps < _WEAK_LEVELS), steps >= _STRONG_LEVELS
    count = steps.shape[1] - 2 * _FLAT_PX
    before, after = (np.ones((len(steps), count), bool) for _ in range(2))
    near = strong[:, _FLAT_PX : _FLAT_PX + count].copy()
    for away in range(1, _FLAT_PX + 1):
        before &= flat[:, _FLAT_PX - away :][:, :count]
        after &= flat[:, _FLAT_PX + away :][:, :count]
        if away <= 2:
            near |= strong[:, _FLAT_PX - away :][:, :count] | strong[:, _FLAT_PX + away :][:, :count]
    found = weak[:, _FLAT_PX : _FLAT_PX + count] & (before | after) & ~near
    return np.concatenate([np.zeros(_FLAT_PX + 1, np.int64), found.sum(0)])


def _weak_edges(steps: NDArray[np.float32]) -> Counts:
    """Weak steps that are steeper than those beside them; of each column of pixels that is stepped to."""
    middle = steps[:, 1:-1]
    found = (middle > steps[:, :-2]) & (middle > steps[:, 2:]) & (middle < _WEAK_LEVELS)
    return np.concatenate([np.zeros(2, np.int64), found.sum(0)])


def _by_place(counts: Counts, start: int) -> Counts:
    """Sums over columns of the same place in eights of the picture; ``start``: the place of the first."""
    return np.bincount((np.arange(len(counts)) + start) % _BLOCK, weights=counts, minlength=_BLOCK).astype(np.int64)


def _clearest(counts: Counts, least: int, times: float) -> tuple[int, int] | None:
    """The place, across and down, that is clearly the most frequent in both."""
    best = np.sort(counts, axis=1)
    if (best[:, -1] < least).any() or (best[:, -1] < times * best[:, -2]).any():
        return None
    across, down = counts.argmax(1)
    return int(across), int(down)
