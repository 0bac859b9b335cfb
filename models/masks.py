"""Regions become masks, exactly: a region covers every pixel that it touches."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.engine import Checkpoint, Mask, unstopped
from models.errors import InvalidField
from models.geometry import MAX_COORDINATE_PX, Box, Polygon, Rect, Region

Coordinates = NDArray[np.float64]

# A coordinate this near to a pixel's border is on it: decimal fractions are not exact in binary.
_EPSILON_PX = 1e-9


def region_boxes(regions: Sequence[Region], width: int, height: int, field: str = "regions") -> list[Box]:
    """Each region's cover, clipped to an image of ``width`` x ``height`` pixels.

    Raises ``InvalidField`` naming the first region that has no area, lies wholly outside, or reaches too far.
    ``field`` is the list's name in that error.
    """
    return [_clipped(region, f"{field}[{index}]", width, height) for index, region in enumerate(regions)]


def regions_to_mask(regions: Sequence[Region], width: int, height: int, field: str = "regions") -> Mask:
    """A mask of shape ``(height, width)``, 255 where any region touches a pixel. Errors as ``region_boxes``."""
    mask = np.zeros((height, width), np.uint8)
    for box, cover in _covers(regions, width, height, field):
        mask[box.top : box.bottom, box.left : box.right][cover] = 255
    return mask


def region_covers(
    regions: Sequence[Region], width: int, height: int, checkpoint: Checkpoint = unstopped
) -> list[tuple[Box, NDArray[np.bool_]]]:
    """Each region's box, and which of the box's pixels it touches. Errors as ``region_boxes``."""
    covers = []
    for cover in _covers(regions, width, height, "regions"):
        checkpoint()
        covers.append(cover)
    return covers


def touched_of(box: Box, regions: Iterable[Region], checkpoint: Checkpoint = unstopped) -> NDArray[np.bool_]:
    """Which of the box's pixels any of the regions touches: no more of them is drawn."""
    touched = np.zeros((box.height, box.width), bool)
    for region in regions:
        checkpoint()
        shared = region.cover().moved(-box.left, -box.top).clip(box.width, box.height)
        if not shared.area:
            continue
        if isinstance(region, Polygon):
            touched[shared.slices] |= polygon_cover(region, shared.moved(box.left, box.top))
        else:
            touched[shared.slices] = True
    return touched


def _covers(regions: Sequence[Region], width: int, height: int, field: str) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    boxes = region_boxes(regions, width, height, field)
    # A thousand rectangles as large as the image need the memory of one.
    full = np.ones((height, width), bool)
    full.flags.writeable = False
    for index, (region, box) in enumerate(zip(regions, boxes, strict=True)):
        if isinstance(region, Rect):
            yield box, full[: box.height, : box.width]
            continue
        cover = polygon_cover(region, box)
        if not cover.any():  # a sliver along a border of pixels
            raise _no_area(f"{field}[{index}]")
        yield box, cover


def _clipped(region: Region, name: str, width: int, height: int) -> Box:
    if not all(abs(value) <= MAX_COORDINATE_PX for point in region.points for value in point):  # nor is NaN
        raise InvalidField(
            f"{name} reaches too far: its corners must lie within {MAX_COORDINATE_PX:,.0f} pixels of the origin.",
            field=name,
        )
    if not _has_area(region):
        raise _no_area(name)
    whole = region.cover()
    box = whole.clip(width, height)
    if not box.area or (isinstance(region, Polygon) and not _touches(region, width, height)):
        if box == whole:
            raise _no_area(name)
        raise InvalidField(f"{name} lies wholly outside the image of {width}x{height} pixels.", field=name)
    return box


def _no_area(name: str) -> InvalidField:
    return InvalidField(f"{name} has no area: it must be wider and higher than 0.", field=name)


def _has_area(region: Region) -> bool:
    if isinstance(region, Rect):
        return region.width > 0 and region.height > 0
    if len(region.points) < 3:
        return False
    (x0, y0), *rest = region.points
    vectors = [(x - x0, y - y0) for x, y in rest]
    # On one line are all corners, or at least one is off the line to the farthest of them.
    far = max(vectors, key=lambda v: abs(v[0]) + abs(v[1]))
    return any(abs(far[0] * v[1] - far[1] * v[0]) > _EPSILON_PX for v in vectors)


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _touches(polygon: Polygon, width: int, height: int) -> bool:
    """Whether an edge passes through a pixel of the image, or borders part it, or all of it lies inside.

    By the corners alone: to draw a polygon as large as the image takes a while, and a request may have many.
    """
    starts = np.asarray(polygon.points, np.float64)
    stops = np.roll(starts, -1, axis=0)
    steps = stops - starts
    least, most = (_EPSILON_PX, _EPSILON_PX), (width - _EPSILON_PX, height - _EPSILON_PX)
    # Where on its way, 0 to 1, an edge enters and leaves the image's columns, and its rows.
    at = np.array([(least - starts) / steps, (most - starts) / steps])
    enters, leaves = at.min(axis=0).max(axis=1), at.max(axis=0).min(axis=1)
    passing = np.maximum(enters, 0) < np.minimum(leaves, 1)
    on_border = (np.abs(steps) <= _EPSILON_PX) & (np.abs(starts - np.round(starts)) <= _EPSILON_PX)
    if (passing & ~on_border.any(axis=1)).any():
        return True
    for axis, extent in ((0, height), (1, width)):
        along = on_border[:, axis] & passing
        if _parted(starts[along, axis], starts[along, 1 - axis], stops[along, 1 - axis], extent):
            return True
    # Any of its points tells for all of them, by the even-odd rule.
    above = starts[:, 1] < height / 2
    crossing = above != np.roll(above, -1)
    xs = starts[crossing, 0] + (height / 2 - starts[crossing, 1]) * steps[crossing, 0] / steps[crossing, 1]
    return bool(np.count_nonzero(xs > width / 2) % 2)


def _parted(at: Coordinates, starts: Coordinates, stops: Coordinates, extent: int) -> bool:
    """Whether the two sides of any border differ, of those that edges run along: to and fro makes no difference."""
    ends = np.concatenate([starts, stops]).clip(0, extent)
    _, counts = np.unique(np.round(np.stack([np.tile(at, 2), ends], axis=1), 6), axis=0, return_counts=True)
    return bool((counts % 2).any())


def polygon_cover(polygon: Polygon, box: Box) -> NDArray[np.bool_]:
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
    if y1 - y0 > _EPSILON_PX:
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
