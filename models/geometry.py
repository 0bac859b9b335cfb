"""Regions as clients name them (floats, pixels, origin top left) and boxes as arrays are cut (integers)."""

import math
from dataclasses import dataclass
from typing import Self

Point = tuple[float, float]
"""``(x, y)``, pixels."""


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


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle as sent by a client. Fractions cover every pixel that they touch."""

    x: float
    y: float
    width: float
    height: float

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
