"""Regions become masks, exactly: a region covers every pixel that it touches."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.engine import Mask
from models.errors import InvalidField
from models.geometry import Box, Polygon, Rect, Region

# A coordinate this near to a pixel's border is on it: decimal fractions are not exact in binary.
_EPSILON_PX = 1e-9


def region_boxes(regions: Sequence[Region], width: int, height: int, field: str = "regions") -> list[Box]:
    """Each region's cover, clipped to an image of ``width`` x ``height`` pixels.

    Raises ``InvalidField`` naming the first region that has no area, lies wholly outside, or is not finite.
    ``field`` is the list's name in that error.
    """
    return [_clipped(region, f"{field}[{index}]", width, height) for index, region in enumerate(regions)]


def regions_to_mask(regions: Sequence[Region], width: int, height: int, field: str = "regions") -> Mask:
    """A mask of shape ``(height, width)``, 255 where any region touches a pixel. Errors as ``region_boxes``."""
    mask = np.zeros((height, width), np.uint8)
    for region, box in zip(regions, region_boxes(regions, width, height, field), strict=True):
        view = mask[box.top : box.bottom, box.left : box.right]
        if isinstance(region, Rect):
            view[:] = 255
        else:
            view[_polygon_cover(region, box)] = 255
    return mask


def _clipped(region: Region, name: str, width: int, height: int) -> Box:
    if not _has_area(region):
        raise InvalidField(f"{name} has no area: it must be wider and higher than 0, in finite numbers.", field=name)
    box = region.cover().clip(width, height)
    if not box.area:
        raise InvalidField(f"{name} lies wholly outside the image of {width}x{height} pixels.", field=name)
    return box


def _has_area(region: Region) -> bool:
    if isinstance(region, Rect):
        values = (region.x, region.y, region.width, region.height)
        return all(map(math.isfinite, values)) and region.width > 0 and region.height > 0
    points = region.points
    if len(points) < 3 or not all(math.isfinite(v) for point in points for v in point):
        return False
    (x0, y0), *rest = points
    vectors = [(x - x0, y - y0) for x, y in rest]
    return any(abs(a[0] * b[1] - a[1] * b[0]) > _EPSILON_PX for a in vectors for b in vectors[1:])


def _polygon_cover(polygon: Polygon, box: Box) -> NDArray[np.bool_]:
    """Pixels of ``box`` that the polygon touches: those that an edge crosses, and those whose centre is inside."""
    points = np.asarray(polygon.points, np.float64) - (box.left, box.top)
    covered = np.zeros((box.height, box.width), bool)
    crossings: list[list[float]] = [[] for _ in range(box.height)]
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        _mark_edge(covered, float(x0), float(y0), float(x1), float(y1))
        _collect_crossings(crossings, float(x0), float(y0), float(x1), float(y1))
    for row, xs in enumerate(crossings):
        xs.sort()
        for start, stop in zip(xs[::2], xs[1::2], strict=True):
            # Centres between two crossings of the row's middle line are inside (even-odd rule).
            covered[row, max(0, math.ceil(start - 0.5)) : max(0, math.floor(stop - 0.5) + 1)] = True
    return covered


def _mark_edge(covered: NDArray[np.bool_], x0: float, y0: float, x1: float, y1: float) -> None:
    """Mark every pixel that the segment passes through; one that only runs along a border marks nothing new."""
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    height = covered.shape[0]
    for row in range(max(0, math.floor(y0)), min(height, max(math.ceil(y1 - _EPSILON_PX), math.floor(y0) + 1))):
        low, high = max(y0, row), min(y1, row + 1)
        if high - low < _EPSILON_PX and abs(low - round(low)) < _EPSILON_PX:
            continue
        slope = (x1 - x0) / (y1 - y0) if y1 > y0 else 0.0
        xs = (x0 + slope * (low - y0), x0 + slope * (high - y0)) if y1 > y0 else (x0, x1)
        left, right = math.floor(min(xs) + _EPSILON_PX), math.ceil(max(xs) - _EPSILON_PX)
        if left < right:
            covered[row, max(0, left) : max(0, right)] = True


def _collect_crossings(crossings: list[list[float]], x0: float, y0: float, x1: float, y1: float) -> None:
    if y0 == y1:
        return
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    first, last = math.ceil(y0 - 0.5), math.ceil(y1 - 0.5)
    for row in range(max(0, first), min(len(crossings), last)):
        crossings[row].append(x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0))
