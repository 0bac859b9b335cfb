"""``Auto``: few, well-shaped windows around what is masked. A pure function of mask, limits and committed costs.

Every window has real context on each side (at least the masked part's own smaller side, and 64 px) and is masked by
at most 40 %, as far as the image and the limit of a run allow, on each axis; its sides are sizes that the engine takes
without filling up. Windows are joined while one run costs less than two, and holds both with their context.
"""

import functools
import heapq
import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from models.costs import WindowCosts
from models.engine import Mask
from models.geometry import Box, span
from models.windows import Window

_CONTEXT_PX = 64
_MAX_MASKED_SHARE = 0.4
_MAX_PARTS = 96
"""Parts that are weighed against each other, every one with every other."""
_CELL_PX = 16
"""What is masked in neighbouring cells of this size is one part from the start."""
_RAMP_PX = 32
"""Over which the tiles of one large part fade into each other."""
_SEES_ENOUGH = 0.5
"""Of the known pixels that the best-placed tile has around it: the first tile with so many begins."""


def auto_windows(mask: Mask, max_window_px: int, costs: WindowCosts) -> tuple[Window, ...]:
    """Cores hold every masked pixel, and overlap in the ramps of tiles only; no side is above ``max_window_px``, or
    above what the engine likes.
    """
    frame = _Frame(mask, max_window_px, costs)
    parts = _joined(_parts(mask), frame)
    return tuple(itertools.chain.from_iterable(frame.windows(part) for part in parts))


class _Frame:
    """One mask: the window around a part of it, and what that costs."""

    def __init__(self, mask: Mask, max_window_px: int, costs: WindowCosts) -> None:
        self._height, self._width = map(int, mask.shape)
        self._sums = cv2.integral((mask > 0).astype(np.uint8))
        self._limit_px = min(max_window_px, costs.max_px or max_window_px)
        self._least_px = min(_CONTEXT_PX, self._limit_px // 4)
        self._costs = costs

    def windows(self, core: Box) -> list[Window]:
        if self._holds(core, self._least_px):
            return [Window(self.box(core), core)]
        return self._tiles(core)

    def box(self, core: Box) -> Box:
        """Of a core that one run holds: context on every side, then more of it until the mask is not too large a
        share. Each axis gets as much of it as image and limit allow.
        """
        context = _wanted_px(core)
        while True:
            box = self._widened(self._around(core, context))
            if self._is_full(box) or self._known(box) >= (1 - _MAX_MASKED_SHARE) * box.area:
                return box
            context += context // 2

    def holds(self, core: Box) -> bool:
        """Whether one run is large enough for it with all of its context."""
        return self._holds(core, _wanted_px(core))

    def seconds(self, box: Box) -> float:
        return self._costs.seconds(box.width, box.height)

    def _holds(self, core: Box, context: int) -> bool:
        return all(high - low <= self._limit_px for low, high in self._spans(core, context))

    def _spans(self, core: Box, context: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of columns and of rows, with so much context within the image."""
        box = core.grown(context).clip(self._width, self._height)
        return (box.left, box.right), (box.top, box.bottom)

    def _around(self, core: Box, context: int) -> Box:
        (left, right), (top, bottom) = self._spans(core, context)
        if right - left > self._limit_px:
            left, right = span(core.left, core.right, self._limit_px, self._width)
        if bottom - top > self._limit_px:
            top, bottom = span(core.top, core.bottom, self._limit_px, self._height)
        return Box(left, top, right, bottom)

    def _widened(self, box: Box) -> Box:
        """By real pixels, to sides of the ladder where the image has so many and a run may be so large."""
        width, height = (min(self._costs.rung(side), self._limit_px) for side in (box.width, box.height))
        if self._costs.square:
            width = height = max(width, height)
        left, right = span(box.left, box.right, width, self._width)
        top, bottom = span(box.top, box.bottom, height, self._height)
        return Box(left, top, right, bottom)

    def _is_full(self, box: Box) -> bool:
        return box.width >= min(self._limit_px, self._width) and box.height >= min(self._limit_px, self._height)

    def _known(self, box: Box) -> int:
        """Pixels that are not masked."""
        sums = self._sums
        right, left = (int(sums[box.bottom, x] - sums[box.top, x]) for x in (box.right, box.left))
        return box.area - right + left

    def _tiles(self, core: Box) -> list[Window]:
        """A core too large for one run: tiles that overlap by a ramp, row by row outwards from one that sees enough."""
        rows = self._cuts(core.top, core.bottom, self._height)
        columns = self._cuts(core.left, core.right, self._width)
        known = {
            (row, column): self._known(self.box(Box(left, top, right, bottom)))
            for row, (top, bottom) in enumerate(rows)
            for column, (left, right) in enumerate(columns)
        }
        first_row, first_column = next(at for at in known if known[at] >= _SEES_ENOUGH * max(known.values()))
        windows = []
        for top, bottom, down in _outwards(rows, first_row, self._ramp_px):
            for left, right, across in _outwards(columns, first_column, self._ramp_px):
                tile = Box(left, top, right, bottom)
                windows.append(Window(self.box(tile), tile, (across, down)))
        return windows

    @property
    def _ramp_px(self) -> int:
        return min(_RAMP_PX, self._limit_px // 8)

    def _cuts(self, low: int, high: int, size: int) -> list[tuple[int, int]]:
        """Of one axis; one where a run holds all of it."""
        if min(high + self._least_px, size) - max(low - self._least_px, 0) <= self._limit_px:
            return [(low, high)]
        count = -(-(high - low) // (self._limit_px - 2 * self._least_px - self._ramp_px))
        return list(itertools.pairwise(low + (high - low) * i // count for i in range(count + 1)))


def _wanted_px(core: Box) -> int:
    return max(_CONTEXT_PX, min(core.width, core.height))


def _outwards(cuts: list[tuple[int, int]], first: int, ramp: int) -> Iterator[tuple[int, int, int]]:
    """From the first one on to both ends, each with a ramp over the one before it: ``(low, high, ramp_px)``."""
    yield *cuts[first], 0
    for low, high in cuts[first + 1 :]:
        yield low - ramp, high, ramp
    for low, high in reversed(cuts[:first]):
        yield low, high + ramp, -ramp


def _parts(mask: Mask) -> list[Box]:
    """Bounding boxes of what lies close together; coarser where that would be too many."""
    cell = _CELL_PX
    while True:
        rows, columns = (np.arange(0, size, cell) for size in mask.shape)
        taken = np.maximum.reduceat(np.maximum.reduceat(mask, rows, axis=0), columns, axis=1)
        count, _, stats, _ = cv2.connectedComponentsWithStats(taken, connectivity=8)
        if count - 1 <= _MAX_PARTS:
            cells = (Box(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:].tolist())
            return [_tight(mask, Box(*(side * cell for side in (c.left, c.top, c.right, c.bottom)))) for c in cells]
        cell *= 2


def _tight(mask: Mask, box: Box) -> Box:
    box = box.clip(mask.shape[1], mask.shape[0])
    x, y, width, height = cv2.boundingRect(mask[box.top : box.bottom, box.left : box.right])
    return Box(x, y, x + width, y + height).moved(box.left, box.top)


def _joined(parts: list[Box], frame: _Frame) -> list[Box]:
    """Join the two whose union saves most, again and again; ordered by position, so that the plan is canonical."""
    alive: dict[int, tuple[Box, float]] = {}
    heap: list[tuple[float, int, int]] = []
    numbers = itertools.count()

    def add(part: Box) -> None:
        number, cost = next(numbers), frame.seconds(frame.box(part))
        for other, (box, its_cost) in alive.items():
            loss = _loss(frame, part, box, cost + its_cost)
            if loss < 0:
                heapq.heappush(heap, (loss, other, number))
        alive[number] = (part, cost)

    for part in sorted(parts, key=_position):
        add(part)
    while heap:
        _, first, second = heapq.heappop(heap)
        if first in alive and second in alive:
            add(alive.pop(first)[0].union(alive.pop(second)[0]))
    return sorted(_or_all_at_once(list(alive.values()), frame), key=_position)


def _or_all_at_once(parts: list[tuple[Box, float]], frame: _Frame) -> list[Box]:
    """Where parts are spread so that no two are worth joining, one window over all may still cost less than many."""
    boxes = [box for box, _ in parts]
    if len(parts) > 1:
        whole = functools.reduce(Box.union, boxes)
        if frame.holds(whole) and frame.seconds(frame.box(whole)) < sum(seconds for _, seconds in parts):
            return [whole]
    return boxes


def _loss(frame: _Frame, first: Box, second: Box, apart_s: float) -> float:
    """Seconds that one run costs more than two; below 0: joining pays. Parts that overlap must be joined."""
    if first.overlaps(second):
        return -np.inf
    union = first.union(second)
    # A window is at least as large as its core, so most pairs need no closer look.
    if frame.seconds(union) >= apart_s or not frame.holds(union):
        return 0.0
    return frame.seconds(frame.box(union)) - apart_s


def _position(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.left, box.bottom, box.right
