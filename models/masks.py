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
    for box, cover in region_covers(regions, width, height, field):
        mask[box.top : box.bottom, box.left : box.right][cover] = 255
    return mask


def region_covers(
    regions: Sequence[Region], width: int, height: int, field: str = "regions"
) -> list[tuple[Box, NDArray[np.bool_]]]:
    """Each region's box, and which of the box's pixels it touches. Errors as ``region_boxes``."""
    boxes = region_boxes(regions, width, height, field)
    return [
        (box, np.ones((box.height, box.width), bool) if isinstance(region, Rect) else _polygon_cover(region, box))
        for region, box in zip(regions, boxes, strict=True)
    ]


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
    # On one line are all corners, or at least one is off the line to the farthest of them.
    far = max(vectors, key=lambda v: abs(v[0]) + abs(v[1]))
    return any(abs(far[0] * v[1] - far[1] * v[0]) > _EPSILON_PX for v in vectors)


def _polygon_cover(polygon: Polygon, box: Box) -> NDArray[np.bool_]:
    """Pixels of ``box`` that the polygon touches: those that an edge crosses, and those whose centre is inside.

    Work and memory are bounded by corners x rows and by the box: clients choose both.
    """
    points = np.asarray(polygon.points, np.float64) - (box.left, box.top)
    # Along a row, the running sum of `edges` is how many edges' spans cover a pixel, that of `inside` (modulo 2)
    # whether its centre is inside by the even-odd rule.
    edges = np.zeros((box.height, box.width + 1), np.int16)
    inside = np.zeros((box.height, box.width + 1), np.uint8)
    for start, stop in zip(points, np.roll(points, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = (start, stop) if start[1] <= stop[1] else (stop, start)
        _mark_edge(edges, float(x0), float(y0), float(x1), float(y1))
        _mark_crossings(inside, float(x0), float(y0), float(x1), float(y1))
    np.add.accumulate(edges, axis=1, out=edges)
    np.bitwise_xor.accumulate(inside, axis=1, out=inside)
    covered: NDArray[np.bool_] = (edges[:, :-1] > 0) | (inside[:, :-1] > 0)
    return covered


def _mark_edge(edges: NDArray[np.int16], x0: float, y0: float, x1: float, y1: float) -> None:
    """Every pixel that the segment (``y0 <= y1``) passes through; one that only runs along a border is no news."""
    height, width = edges.shape[0], edges.shape[1] - 1
    rows = np.arange(max(0, math.floor(y0)), min(height, max(math.ceil(y1 - _EPSILON_PX), math.floor(y0) + 1)))
    low, high = np.maximum(y0, rows), np.minimum(y1, rows + 1)
    along_border = (high - low < _EPSILON_PX) & (np.abs(low - np.round(low)) < _EPSILON_PX)
    if y1 > y0:
        slope = (x1 - x0) / (y1 - y0)
        at_low, at_high = x0 + slope * (low - y0), x0 + slope * (high - y0)
    else:
        at_low, at_high = np.full(len(rows), x0), np.full(len(rows), x1)
    left = np.floor(np.minimum(at_low, at_high) + _EPSILON_PX).clip(0, width).astype(np.intp)
    right = np.ceil(np.maximum(at_low, at_high) - _EPSILON_PX).clip(0, width).astype(np.intp)
    some = ~along_border & (left < right)
    edges[rows[some], left[some]] += 1
    edges[rows[some], right[some]] -= 1


def _mark_crossings(inside: NDArray[np.uint8], x0: float, y0: float, x1: float, y1: float) -> None:
    """From where the segment (``y0 <= y1``) crosses a row's middle line on, centres change sides."""
    height, width = inside.shape[0], inside.shape[1] - 1
    rows = np.arange(max(0, math.ceil(y0 - 0.5)), min(height, math.ceil(y1 - 0.5)))
    if not len(rows):
        return
    xs = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    inside[rows, np.ceil(xs - 0.5).clip(0, width).astype(np.intp)] ^= 1
