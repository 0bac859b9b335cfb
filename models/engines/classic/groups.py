"""Which masked pixels are filled together: the words of a line, not two lines of a page."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from models.engine import Checkpoint, unstopped
from models.engines.classic.smooth import Unknown
from models.geometry import Box, strips

_JOIN_PX = 9
"""Masked pixels nearer than this are one piece: a word, or the strokes of a character."""
_WORD_GAP = 0.7
"""Pieces side by side are of one line when the gap is at most so many of their heights."""
_RIM_PX = 48
_MAX_RIM_PX = 160

Edges = NDArray[np.int64]
"""Shape ``(n, 4)``: left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Group:
    """``box``: around its pixels. ``window``: with enough ground around it to try its mask on; both in the picture.

    ``ours``: bool, of the shape of ``window``: the group's pixels.
    """

    box: Box
    window: Box
    ours: Unknown

    @property
    def view(self) -> tuple[slice, slice]:
        return self.window.slices

    @property
    def inner(self) -> Box:
        """The box in pixels of the window."""
        return self.box.moved(-self.window.left, -self.window.top)


class Groups:
    """Of one mask, from top to bottom. The work grows with what is masked, not with the groups times the picture."""

    def __init__(self, unknown: Unknown, checkpoint: Checkpoint = unstopped) -> None:
        self._unknown = unknown
        joined = cv2.dilate(unknown.astype(np.uint8), np.ones((_JOIN_PX, _JOIN_PX), np.uint8))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        left, top, width, height = stats[1:, :4].T.astype(np.int64)
        self._pieces = np.stack([left, top, left + width, top + height], axis=1)
        self._line_of = _lines(self._pieces, checkpoint)
        line_of = np.concatenate([[-1], self._line_of]).astype(np.int32)
        for rows in strips(len(labels)):
            labels[rows] = line_of[labels[rows]]
        self._lines = labels

    def __len__(self) -> int:
        return int(self._line_of.max(initial=-1)) + 1

    def __iter__(self) -> Iterator[Group]:
        by_line = np.argsort(self._line_of, kind="stable")
        members = np.split(self._pieces[by_line], np.cumsum(np.bincount(self._line_of))[:-1])
        for number in range(len(self)):
            (x0, y0), (x1, y1) = members[number][:, :2].min(axis=0), members[number][:, 2:].max(axis=0)
            ours = self._unknown[y0:y1, x0:x1] & (self._lines[y0:y1, x0:x1] == number)
            rows, columns = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(ours.any(axis=0))
            box = Box(int(x0 + columns[0]), int(y0 + rows[0]), int(x0 + columns[-1] + 1), int(y0 + rows[-1] + 1))
            window = _rim(box, self._unknown.shape)
            yield Group(box, window, self._unknown[window.slices] & (self._lines[window.slices] == number))


def _lines(pieces: Edges, checkpoint: Checkpoint) -> NDArray[np.int64]:
    """The line of each piece, numbered in the order of their first pieces."""
    pairs = _near(pieces, checkpoint)
    first, second = pairs[:, _beside(pieces[pairs[0]], pieces[pairs[1]])]
    graph = sp.coo_array((np.ones(len(first), bool), (first, second)), (len(pieces), len(pieces)))
    _, line_of = connected_components(graph, directed=False)
    _, begun, line_of = np.unique(line_of, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(begun))[line_of].astype(np.int64).reshape(-1)


def _near(pieces: Edges, checkpoint: Checkpoint) -> NDArray[np.int64]:
    """All pairs of pieces that might be beside each other, ``(2, n)``.

    A dotted mask has very many pieces, so only those are compared whose extents overlap along the longer axis: sorted
    by where they begin, each with its next, then each with the one after that.
    """
    left, top, right, bottom = pieces.T
    axes = [(top, bottom), (left, right + _WORD_GAP * (3 * (bottom - top)))]
    if right.max(initial=0) > bottom.max(initial=0):
        axes.reverse()
    order = np.argsort(axes[0][0], kind="stable")
    (begins, ends), (starts, stops) = ((low[order], high[order]) for low, high in axes)
    reached = np.searchsorted(begins, ends, side="right")
    found, ones, step = [np.empty((2, 0), np.int64)], np.arange(len(pieces)), 0
    while len(ones):
        checkpoint()
        step += 1
        ones = ones[ones + step < reached[ones]]
        others = ones + step
        both = (starts[others] <= stops[ones]) & (starts[ones] <= stops[others])
        found.append(order[np.stack([ones[both], others[both]])])
    return np.concatenate(found, axis=1)


def _beside(ones: Edges, others: Edges) -> NDArray[np.bool_]:
    """Of each pair, whether both are of one line."""
    overlap = np.minimum(ones[:, 3], others[:, 3]) - np.maximum(ones[:, 1], others[:, 1])
    gap = np.maximum(ones[:, 0], others[:, 0]) - np.minimum(ones[:, 2], others[:, 2])
    heights = ones[:, 3] - ones[:, 1], others[:, 3] - others[:, 1]
    low, high = np.minimum(*heights), np.maximum(*heights)
    return np.asarray((overlap >= 0.5 * low) & (gap <= _WORD_GAP * np.minimum(high, 3 * low)))


def _rim(group: Box, shape: tuple[int, ...]) -> Box:
    margin = max(_RIM_PX, min(group.height + 16, _MAX_RIM_PX))
    grown = group.grown(margin)
    return grown.clip(shape[1], shape[0])
