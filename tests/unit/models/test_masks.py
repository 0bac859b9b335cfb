import math
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidField
from models.geometry import Box, Polygon, Rect, Region
from models.masks import polygon_cover, region_boxes, region_covers, regions_to_mask


def test_fractions_cover_every_pixel_they_touch() -> None:
    mask = regions_to_mask([Rect(1.5, 2.0, 2.0, 1.01)], 10, 8)
    assert {(int(y), int(x)) for y, x in np.argwhere(mask)} == {(y, x) for y in (2, 3) for x in (1, 2, 3)}
    assert set(np.unique(mask)) == {0, 255}


def test_a_region_that_sticks_out_is_clipped() -> None:
    mask = regions_to_mask([Rect(-5, -5, 7, 6)], 10, 8)
    assert np.count_nonzero(mask) == 2 * 1


@pytest.mark.parametrize(
    "bad",
    [
        Rect(10, 0, 5, 5), Rect(0, -5, 5, 5), Rect(1, 1, 0, 4), Rect(1, 1, 4, -1), Rect(math.nan, 1, 4, 4),
        Rect(1, 1, math.inf, 4), Polygon(((0, 0), (5, 5), (9, 9))), Polygon(((20, 0), (25, 0), (22, 5))),
        Polygon(((-4, 2), (2, -4), (-4, -4))), Polygon(((-5, -5), (15, -5), (15, 15), (14, -4))),
        Polygon(((3, 1), (3 + 5e-10, 4), (3, 7))), Rect(1, 1, 1e308, 4), Rect(1e308, 1, 1e308, 4),
        Rect(-1.1e9, 0, 2e9, 4), Polygon(((1, 1), (1e19, 2), (1, 3))),
        Polygon(((1, -1.7e308), (-1e15, 1.7e308), (1e307, 1))), Polygon(((0, 1), (1, 1), (1, 0), (1, 1))),
        Polygon(((12, 2), (12, 5), (5, 5), (12, 5))), Polygon(((2, 2), (4, 2), (4, 4), (2, 4)) * 2),
    ],
)  # fmt: skip
def test_a_bad_region_is_named(bad: Region) -> None:
    with pytest.raises(InvalidField, match=r"regions\[1\]") as caught:
        regions_to_mask([Rect(0, 0, 1, 1), bad], 10, 8)
    assert caught.value.details["field"] == "regions[1]"


far = st.integers(-60, 90).map(lambda v: v / 4)
on_borders = st.integers(-2, 9)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(far, far), min_size=3, max_size=6)
    | st.lists(st.tuples(on_borders, on_borders), min_size=2, max_size=5).map(
        lambda corners: [at for (x, y), (after, _) in pairwise([*corners, corners[0]]) for at in ((x, y), (after, y))]
    )
)
def test_a_polygon_that_touches_no_pixel_is_refused_and_no_other(points: list[tuple[float, float]]) -> None:
    """Before anything is drawn, so that a call is refused, not its task."""
    polygon = Polygon(tuple(points))
    try:
        region_boxes([polygon], 8, 7)
        refused = False
    except InvalidField:
        refused = True
    if np.linalg.matrix_rank(np.diff(points, axis=0)) == 2:  # all on one line has no area, whatever it touches
        assert refused != polygon_cover(polygon, Box(0, 0, 8, 7)).any()


def test_a_polygon_far_around_the_picture_covers_it() -> None:
    polygon = Polygon(((-1e9, -1e9), (1e9, -1e9), (0, 1e9)))
    assert region_boxes([polygon], 8, 7) == [Box(0, 0, 8, 7)]
    assert regions_to_mask([polygon], 8, 7).all()


@pytest.mark.parametrize("tiny", [1e-300, 1e-10])
def test_a_nearly_level_edge_overflows_nothing(tiny: float) -> None:
    level, tilted = (Polygon(((0, 0), (1e9, y), (0, 7))) for y in (0.0, tiny))
    with np.errstate(all="raise"):
        assert np.array_equal(regions_to_mask([tilted], 8, 7), regions_to_mask([level], 8, 7))


def test_many_polygons_around_a_large_picture_are_checked_at_once() -> None:
    polygons = [Polygon(((-5.0 - n, -5), (8005, -5), (8005, 8005), (-5, 8005))) for n in range(1000)]
    start = time.process_time()
    assert region_boxes(polygons, 8000, 8000) == [Box(0, 0, 8000, 8000)] * 1000
    assert time.process_time() - start < 1


def test_a_thousand_rectangles_cost_the_memory_of_one() -> None:
    tracemalloc.start()
    covers = region_covers([Rect(0, 0, 2000, 2000)] * 1000, 2000, 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(cover.shape == (2000, 2000) and cover[1999, 1999] for _, cover in covers)
    assert peak < 1.5 * 2000 * 2000


def test_a_polygon_along_pixel_borders_covers_what_the_rectangle_covers() -> None:
    square = Polygon(((2, 1), (6, 1), (6, 5), (2, 5)))
    assert np.array_equal(regions_to_mask([square], 9, 7), regions_to_mask([Rect(2, 1, 4, 4)], 9, 7))


coordinate = st.integers(-8, 40).map(lambda v: v / 4)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=3))
def test_a_triangle_covers_exactly_the_pixels_it_touches(points: list[tuple[float, float]]) -> None:
    """Against brute force: a convex polygon and a pixel overlap unless an edge of either separates them."""
    polygon = Polygon(tuple(points))
    try:
        mask = regions_to_mask([polygon], 8, 8)
    except InvalidField:
        return
    for y in range(8):
        for x in range(8):
            pixel = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
            assert bool(mask[y, x]) == _overlap(points, [(float(a), float(b)) for a, b in pixel]), (x, y)


def _overlap(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> bool:
    for shape in (a, b):
        for (x0, y0), (x1, y1) in zip(shape, shape[1:] + shape[:1], strict=True):
            normal = (y0 - y1, x1 - x0)
            if normal == (0, 0):
                continue
            mine = [x * normal[0] + y * normal[1] for x, y in a]
            theirs = [x * normal[0] + y * normal[1] for x, y in b]
            if max(mine) <= min(theirs) + 1e-9 or max(theirs) <= min(mine) + 1e-9:
                return False
    return True


def test_polygons_cost_a_bounded_time() -> None:
    """Thousands of corners: each edge from the top to the bottom, or all of them on one line."""
    comb = Polygon(tuple((index / 4, 4000.0 * (index % 2)) for index in range(2000)))
    line = Polygon(tuple((float(index), float(index)) for index in range(10_000)))
    start = time.process_time()
    assert regions_to_mask((comb,), 500, 4000).all()
    with pytest.raises(InvalidField, match="no area"):
        region_boxes((line,), 500, 4000)
    assert time.process_time() - start < 10
