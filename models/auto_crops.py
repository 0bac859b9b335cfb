"""``Auto``: few, well-shaped windows around what is masked. A pure function of mask, limits and committed costs.

Every window has real context on each side (at least the masked part's own smaller side, and 64 px) and is masked by
at most 40 %, where the image is large enough for that; its sides are sizes that the engine takes without filling up.
Windows are joined while one run costs less than two.
"""

import functools
import heapq
import itertools
from dataclasses import replace

import cv2
import numpy as np

from models.costs import WindowCosts
from models.engine import Mask
from models.geometry import Box
from models.windows import Window

_CONTEXT_PX = 64
_MAX_MASKED_SHARE = 0.4
_MAX_PARTS = 96
"""Parts that are weighed against each other, every one with every other."""
_CELL_PX = 16
"""What is masked in neighbouring cells of this size is one part from the start."""
_RAMP_PX = 32
"""Over which the tiles of one large part fade into each other."""


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
        self._height, self._width = mask.shape
        self._sums = cv2.integral((mask > 0).astype(np.uint8))
        self._limit_px = min(max_window_px, costs.max_px or max_window_px)
        self._costs = costs

    def windows(self, core: Box) -> list[Window]:
        box = self.box(core)
        if self.fits(box):
            return [Window(box, core)]
        tiles = _tiles(core, self._limit_px, self._width, self._height)
        return [replace(tile, box=self._widened(tile.box)) for tile in tiles]

    def box(self, core: Box) -> Box:
        """Context on every side, then more of it until the mask is not too large a share."""
        context = max(_CONTEXT_PX, min(core.width, core.height))
        while True:
            around = Box(core.left - context, core.top - context, core.right + context, core.bottom + context)
            box = self._widened(around.clip(self._width, self._height))
            grown = max(box.width, box.height) >= min(self._limit_px, max(self._width, self._height))
            if grown or self._masked(box) <= _MAX_MASKED_SHARE * box.area:
                return box
            context += context // 2

    def fits(self, box: Box) -> bool:
        return max(box.width, box.height) <= self._limit_px

    def seconds(self, box: Box) -> float:
        return self._costs.seconds(box.width, box.height)

    def _widened(self, box: Box) -> Box:
        """By real pixels, to sides of the ladder where the image has so many and a run may be so large."""
        width, height = (self._rung(side) for side in (box.width, box.height))
        if self._costs.square:
            width = height = max(width, height)
        left, right = _span(box.left, box.right, width, self._width)
        top, bottom = _span(box.top, box.bottom, height, self._height)
        return Box(left, top, right, bottom)

    def _rung(self, side: int) -> int:
        return max(side, min(self._costs.rung(side), self._limit_px))

    def _masked(self, box: Box) -> int:
        sums = self._sums
        right, left = (sums[box.bottom, x] - sums[box.top, x] for x in (box.right, box.left))
        return int(right - left)


def _span(low: int, high: int, size: int, limit: int) -> tuple[int, int]:
    """``low..high`` grown to ``size`` on both sides, shifted inwards at the image's border; all of a smaller image."""
    size = min(size, limit)
    low = max(0, min(low - (size - (high - low)) // 2, limit - size))
    return low, low + size


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
        box = frame.box(whole)
        if frame.fits(box) and frame.seconds(box) < sum(seconds for _, seconds in parts):
            return [whole]
    return boxes


def _loss(frame: _Frame, first: Box, second: Box, apart_s: float) -> float:
    """Seconds that one run costs more than two; below 0: joining pays. Parts that overlap must be joined."""
    if first.overlaps(second):
        return -np.inf
    union = first.union(second)
    # A window is at least as large as its core, so most pairs need no closer look.
    if not frame.fits(union) or frame.seconds(union) >= apart_s:
        return 0.0
    box = frame.box(union)
    return frame.seconds(box) - apart_s if frame.fits(box) else 0.0


def _position(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.left, box.bottom, box.right


def _tiles(core: Box, limit_px: int, width: int, height: int) -> list[Window]:
    """A core too large for one run: tiles with context that overlap by a ramp, row by row."""
    context, ramp = min(_CONTEXT_PX, limit_px // 4), min(_RAMP_PX, limit_px // 8)
    step = limit_px - 2 * context - ramp
    return [
        Window(
            Box(left - context, top - context, right + context, bottom + context).clip(width, height),
            Box(left, top, right, bottom),
            (ramp if left > core.left else 0, ramp if top > core.top else 0),
        )
        for top, bottom in _cuts(core.top, core.bottom, step, ramp)
        for left, right in _cuts(core.left, core.right, step, ramp)
    ]


def _cuts(low: int, high: int, step: int, ramp: int) -> list[tuple[int, int]]:
    count = -(-(high - low) // step)
    edges = [low + (high - low) * i // count for i in range(count + 1)]
    return [(max(low, first - ramp), last) for first, last in itertools.pairwise(edges)]
