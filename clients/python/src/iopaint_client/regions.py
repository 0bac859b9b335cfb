"""Regions in pixels, origin top left, as the picture is seen (EXIF orientation applied)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rect:
    x: float
    y: float
    width: float
    height: float

    def wire(self) -> dict[str, Any]:
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


@dataclass(frozen=True, slots=True)
class Polygon:
    """``points``: three or more (x, y)."""

    points: Sequence[tuple[float, float]]

    def wire(self) -> dict[str, Any]:
        return {"points": [[x, y] for x, y in self.points]}


RegionInput = Rect | Polygon | tuple[float, float, float, float] | Mapping[str, Any]
"""A tuple is (x, y, width, height); a mapping is sent as it is."""


def to_wire(regions: Iterable[RegionInput]) -> list[dict[str, Any]]:
    return [_one(region) for region in regions]


def _one(region: RegionInput) -> dict[str, Any]:
    if isinstance(region, Rect | Polygon):
        return region.wire()
    if isinstance(region, Mapping):
        return dict(region)
    return Rect(*region).wire()
