"""Regions as clients name them (floats, pixels, origin top left) and boxes as arrays are cut (integers)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

Point = tuple[float, float]
"""``(x, y)``, pixels."""
MAX_COORDINATE_PX = 1e9
"""From the origin, either way: beyond it, sums and slopes lose the pixel, and at last overflow."""
_STRIP_ROWS = 64


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open pixel box: columns ``left..right-1``, rows ``top..bottom-1``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        return max(0, self.bottom - self.top)

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of an array of shape ``(H, W, ...)``."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def clip(self, width: int, height: int) -> Self:
        """The part inside an image of that size; may be empty."""
        return type(self)(
            min(max(self.left, 0), width),
            min(max(self.top, 0), height),
            min(max(self.right, 0), width),
            min(max(self.bottom, 0), height),
        )

    def moved(self, across: int, down: int) -> Self:
        return type(self)(self.left + across, self.top + down, self.right + across, self.bottom + down)

    def grown(self, across: int, down: int | None = None) -> Self:
        """By so many pixels on each side."""
        down = across if down is None else down
        return type(self)(self.left - across, self.top - down, self.right + across, self.bottom + down)

    def scaled(self, across: float, down: float) -> Self:
        """In whole pixels, none of which is cut off."""
        return type(self)(
            math.floor(self.left * across),
            math.floor(self.top * down),
            math.ceil(self.right * across),
            math.ceil(self.bottom * down),
        )

    def overlaps(self, other: Self) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def union(self, other: Self) -> Self:
        return type(self)(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def strips(height: int) -> Iterator[slice]:
    """Rows, a few at a time: what is made strip by strip needs no copies of a whole picture."""
    for top in range(0, height, _STRIP_ROWS):
        yield slice(top, min(top + _STRIP_ROWS, height))


def overlapping_strips(height: int, reach_px: int) -> Iterator[tuple[slice, slice, slice]]:
    """Strips for what looks at rows beside: each strip, so many rows more on both sides, and the strip within these."""
    for rows in strips(height):
        wider = slice(max(0, rows.start - reach_px), min(height, rows.stop + reach_px))
        yield rows, wider, slice(rows.start - wider.start, rows.stop - wider.start)


def span(low: int, high: int, size: int, limit: int) -> tuple[int, int]:
    """``low..high`` grown to ``size`` on both sides, shifted inwards at the image's border; all of a smaller image."""
    size = min(size, limit)
    low = max(0, min(low - (size - (high - low)) // 2, limit - size))
    return low, low + size


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle as sent by a client. Fractions cover every pixel that they touch."""

    x: float
    y: float
    width: float
    height: float

    @property
    def points(self) -> tuple[Point, ...]:
        """The corners top left and bottom right."""
        return (self.x, self.y), (self.x + self.width, self.y + self.height)

    def cover(self) -> Box:
        """The smallest box of whole pixels that contains the rectangle (not clipped)."""
        return Box(
            math.floor(self.x), math.floor(self.y), math.ceil(self.x + self.width), math.ceil(self.y + self.height)
        )


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon of three or more ``(x, y)`` points, filled by the even-odd rule; covers every pixel it touches."""

    points: tuple[Point, ...]

    def cover(self) -> Box:
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return Box(math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys)))


Region = Rect | Polygon
