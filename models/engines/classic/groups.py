"""Which masked pixels are filled together: the words of a line, not two lines of a page."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engines.classic.smooth import Unknown
from models.geometry import Box

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

    def __init__(self, unknown: Unknown) -> None:
        self._unknown = unknown
        joined = cv2.dilate(unknown.astype(np.uint8), np.ones((_JOIN_PX, _JOIN_PX), np.uint8))
        _, self._labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        left, top, width, height = stats[1:, :4].T.astype(np.int64)
        self._pieces = np.stack([left, top, left + width, top + height], axis=1)
        self._line_of = _lines(self._pieces)

    def __len__(self) -> int:
        return len(np.unique(self._line_of))

    def __iter__(self) -> Iterator[Group]:
        table = np.zeros(len(self._pieces) + 1, np.int32)
        table[1:] = self._line_of + 1
        lines = table[self._labels]
        for number in range(len(self)):
            members = self._pieces[self._line_of == number]
            (x0, y0), (x1, y1) = members[:, :2].min(axis=0), members[:, 2:].max(axis=0)
            ours = self._unknown[y0:y1, x0:x1] & (lines[y0:y1, x0:x1] == number + 1)
            rows, columns = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(ours.any(axis=0))
            box = Box(int(x0 + columns[0]), int(y0 + rows[0]), int(x0 + columns[-1] + 1), int(y0 + rows[-1] + 1))
            window = _rim(box, self._unknown.shape)
            yield Group(box, window, self._unknown[window.slices] & (lines[window.slices] == number + 1))


def _lines(pieces: Edges) -> NDArray[np.int64]:
    """The line of each piece, numbered in the order of their first pieces."""
    line_of = np.arange(len(pieces))
    heights = pieces[:, 3] - pieces[:, 1]
    for index in range(len(pieces)):
        left, top, right, bottom = pieces[index]
        overlap = np.minimum(bottom, pieces[:, 3]) - np.maximum(top, pieces[:, 1])
        gap = np.maximum(left, pieces[:, 0]) - np.minimum(right, pieces[:, 2])
        low, high = np.minimum(heights, bottom - top), np.maximum(heights, bottom - top)
        beside = (overlap >= 0.5 * low) & (gap <= _WORD_GAP * np.minimum(high, 3 * low))
        joined = np.unique(line_of[beside])
        line_of[np.isin(line_of, joined)] = joined[0]
    return np.unique(line_of, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _rim(group: Box, shape: tuple[int, ...]) -> Box:
    margin = max(_RIM_PX, min(group.height + 16, _MAX_RIM_PX))
    grown = Box(group.left - margin, group.top - margin, group.right + margin, group.bottom + margin)
    return grown.clip(shape[1], shape[0])
