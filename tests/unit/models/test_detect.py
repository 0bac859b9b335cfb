"""The real detector on pages drawn here, and the arithmetic around it."""

import itertools
import math
import tracemalloc

import cv2
import numpy as np
import pytest

from models.detect import TextLine, in_reading_order, wanted
from models.detectors import ppocr
from models.detectors.outlines import lines_of
from models.detectors.ppocr import PPOCRDetector
from models.errors import DetectorUnavailable, InvalidField, WorkCancelled
from models.geometry import Box, Polygon, Rect, Region
from models.job import FindText
from models.masks import regions_to_mask, touched_of
from tests.support.pictures import photo, with_text
from tests.support.sample import scene
from tests.support.text_pages import Page, draw_line, iou, matched, page


def box(x: float, y: float, width: float, height: float, score: float = 0.9) -> TextLine:
    return TextLine(((x, y), (x + width, y), (x + width, y + height), (x, y + height)), score)


@pytest.fixture(scope="module")
def detector() -> PPOCRDetector:
    return PPOCRDetector(threads=1)


def found(detector: PPOCRDetector, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[TextLine]:
    height, width = pixels.shape[:2]
    return wanted(detector.detect(pixels, lambda: False), FindText(), width, height)


@pytest.mark.parametrize("kind", ["poster", "small", "rotated", "upright"])
def test_drawn_lines_are_found(detector: PPOCRDetector, kind: str) -> None:
    drawn = page(kind, 11)
    lines = found(detector, drawn.pixels)
    assert len(drawn.lines) >= 3
    assert matched(drawn.lines, [line.points for line in lines]) >= 0.85 * len(drawn.lines)
    assert len(lines) <= 1.2 * len(drawn.lines)


def ink_inside(drawn: Page, lines: list[TextLine]) -> float:
    """Share of the pixels that the text changed which lie in the regions."""
    height, width = drawn.clean.shape[:2]
    ink = (drawn.pixels != drawn.clean).any(axis=2)
    mask = regions_to_mask([line.region() for line in lines], width, height) > 0
    return float(mask[ink].mean())


def test_whole_glyphs_are_inside_the_regions(detector: PPOCRDetector) -> None:
    clean = photo(900, 500)
    pixels = clean.copy()
    drawn = [
        draw_line(pixels, "Quickly: Jumping pygmies, (A|B)!", (450, 90), 40, 0, "white", "black"),
        draw_line(pixels, "Ågypt yes", (250, 300), 48, 30, "white", "black"),
        draw_line(pixels, "y, g; j_Q", (650, 320), 26, -75, "white", "black"),
    ]
    lines = found(detector, pixels)
    assert ink_inside(Page(pixels, clean, tuple(drawn)), lines) > 0.995
    rotated = max(lines, key=lambda line: iou(line.points, drawn[1]))
    assert len(rotated.points) == 4
    (x0, y0), (x1, y1) = rotated.points[:2]
    assert math.degrees(math.atan2(y0 - y1, x1 - x0)) == pytest.approx(30, abs=4)


def test_stacked_letters_are_covered(detector: PPOCRDetector) -> None:
    clean = np.full((420, 300, 3), 240, np.uint8)
    pixels = clean.copy()
    drawn = draw_line(pixels, "MARKET", (150, 210), 44, stacked=True)
    assert ink_inside(Page(pixels, clean, (drawn,)), found(detector, pixels)) > 0.9


@pytest.mark.parametrize(
    "pixels",
    [photo(640, 480), photo(1200, 1000, 5), np.asarray(scene()), np.full((300, 400, 3), 200, np.uint8), photo(5, 3)],
)
def test_a_picture_without_text_has_no_lines(
    detector: PPOCRDetector, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    assert found(detector, pixels) == []


def test_a_large_round_thing_is_not_a_letter(detector: PPOCRDetector) -> None:
    pixels = np.full((500, 500, 3), 20, np.uint8)
    cv2.circle(pixels, (260, 240), 130, (230, 225, 210), cv2.FILLED, cv2.LINE_AA)
    assert found(detector, pixels) == []


def test_small_text_in_a_large_picture_and_large_text_beside_it(detector: PPOCRDetector) -> None:
    pixels = np.full((2400, 3200, 3), 235, np.uint8)
    lines = (
        draw_line(pixels, "a footnote that is easily missed", (2600, 2300), 14),
        draw_line(pixels, "it crosses from one tile into the next one", (1600, 1200), 40),
        draw_line(pixels, "HUGE", (1100, 500), 420),
    )
    seen = found(detector, pixels)
    assert matched(lines, [line.points for line in seen]) == 3
    assert len(seen) == 3
    assert [line.points[0][1] for line in seen] == sorted(line.points[0][1] for line in seen)


def test_the_same_picture_gives_the_same_lines(detector: PPOCRDetector) -> None:
    pixels, _ = with_text(photo(640, 480))
    assert detector.detect(pixels, lambda: False) == PPOCRDetector(threads=2).detect(pixels, lambda: False)


def test_it_stops_when_told(detector: PPOCRDetector) -> None:
    asked = iter([False, False, True])
    with pytest.raises(WorkCancelled):
        detector.detect(photo(3000, 2000), lambda: next(asked))


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DetectorUnavailable, match="rapidocr"):
        ppocr.model_file()
    with pytest.raises(DetectorUnavailable, match="onnxruntime"):
        PPOCRDetector(threads=1)


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppocr, "MODEL_SHA256", "0" * 64)
    with pytest.raises(DetectorUnavailable, match="another model"):
        ppocr.model_file()


def test_filters() -> None:
    large, small, faint = box(10, 10, 80, 20), box(10, 50, 80, 8), box(10, 70, 80, 20, score=0.4)
    lines = [large, small, faint]

    def kept(**fields: object) -> list[TextLine]:
        return wanted(lines, FindText(**fields), 200, 100)  # type: ignore[arg-type]

    assert kept() == [large, small]
    assert kept(min_score=0.0) == lines
    assert kept(min_height_px=9.0) == [large]
    assert kept(include=(Rect(0, 0, 51, 100),)) == [large, small]
    assert kept(include=(Rect(0, 0, 49, 100),)) == []
    assert kept(exclude=(Rect(0, 0, 200, 9),)) == [large, small], "grown by 1 px, it ends at 9"
    assert kept(exclude=(Rect(0, 0, 200, 10),)) == [small]
    with pytest.raises(InvalidField) as raised:
        kept(exclude=(Rect(0, 0, 5, 5), Rect(300, 0, 5, 5)))
    assert raised.value.details["field"] == "exclude[1]"


@pytest.mark.parametrize("field", ["include", "exclude"])
def test_areas_are_drawn_for_lines_only_and_the_work_can_be_left(field: str) -> None:
    side = 30_000
    around = Polygon(((0, 0), (side, 0), (side, side), (0, side)))
    crossing = Polygon(((0, 95), (side, 90), (side, 98)))
    find = FindText(**{field: (*[crossing] * 999, around)})  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        assert wanted([], find, side, side) == []
        line = box(10, 10, 80, 20)
        assert wanted([line], find, side, side) == ([line] if field == "include" else [])
        assert tracemalloc.get_traced_memory()[1] < 10_000_000, "a picture of this size has 900 million pixels"
    finally:
        tracemalloc.stop()
    asked = itertools.count()

    def checkpoint() -> None:
        if next(asked) == 3:
            raise WorkCancelled("told to")

    with pytest.raises(WorkCancelled):
        wanted([line], find, side, side, checkpoint)


def test_areas_count_as_they_do_when_all_of_them_is_drawn() -> None:
    rng = np.random.default_rng(7)
    corners = rng.uniform((-40, -40), (240, 140), (20, 5, 2))
    areas: list[Region] = [Polygon(tuple((float(x), float(y)) for x, y in points)) for points in corners]
    for area in [*areas, Rect(20.5, -3, 60, 41.2)]:
        whole = regions_to_mask([area], 200, 100) > 0
        for left, top in rng.integers(0, 90, (10, 2)):
            part = Box(int(left), int(top), int(left) + 60, min(100, int(top) + 40))
            assert np.array_equal(touched_of(part, [area]), whole[part.slices])


def test_no_pixel_of_an_excluded_area_is_in_a_region() -> None:
    area = regions_to_mask([Polygon(((60, 0), (120, 40), (40, 90)))], 200, 100) > 0
    rng = np.random.default_rng(1)
    lines = [box(*rng.uniform(0, 80, 2), *rng.uniform(4, 60, 2)) for _ in range(60)]
    exclude = (Polygon(((60, 0), (120, 40), (40, 90))),)
    left = wanted(lines, FindText(exclude=exclude), 200, 100)
    assert 0 < len(left) < len(lines)
    assert not (regions_to_mask([line.region() for line in left], 200, 100)[area] > 0).any()


def test_reading_order() -> None:
    first, second, third, fourth = box(10, 12, 50, 20), box(90, 8, 50, 20), box(5, 60, 50, 20), box(80, 61, 50, 20)
    assert in_reading_order([fourth, second, third, first]) == [first, second, third, fourth]


def test_a_line_is_grown_on_all_sides() -> None:
    assert box(10, 10, 100, 50).region().points == ((8.5, 8.5), (111.5, 8.5), (111.5, 61.5), (8.5, 61.5))


def test_a_curved_core_becomes_a_polygon_that_follows_it() -> None:
    probability = np.zeros((220, 420), np.uint8)
    angles = np.linspace(math.pi, 2 * math.pi, 200)
    for angle in angles:
        x, y = round(210 + 160 * math.cos(angle)), round(190 + 160 * math.sin(angle))
        probability[y - 5 : y + 6, x - 5 : x + 6] = 240
    (line,) = lines_of(probability, 1.0)
    assert len(line.points) > 8
    mask = regions_to_mask([Polygon(line.points)], 420, 220) > 0
    assert mask[probability > 0].all()
    assert not mask[150:190, 180:240].any(), "the inside of the arc stays"
    assert line.score > 0.8


def test_half_the_scale_is_twice_the_size() -> None:
    probability = np.zeros((100, 200), np.uint8)
    probability[40:50, 20:120] = 255
    (line,), (enlarged,) = lines_of(probability, 1.0), lines_of(probability, 0.5)
    assert np.allclose(np.asarray(enlarged.points), 2 * np.asarray(line.points), atol=0.2)
