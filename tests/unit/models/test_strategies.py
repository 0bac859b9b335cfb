"""Crop, Resize and Original mean what they mean in IOPaint: its own class, side by side."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from iopaint.model.opencv2 import OpenCV2
from iopaint.schema import HDStrategy as TheirStrategy
from iopaint.schema import InpaintRequest

from models import crops
from models.costs import costs_of
from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask
from models.engines.auto import AutoEngine
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.errors import WorkCancelled
from models.geometry import Box, Rect
from models.job import DiffusionOptions, FillReport, HDOptions, HDStrategy, InpaintJob
from models.masks import region_boxes, regions_to_mask
from models.pipeline import inpaint_array, process
from models.progress import ProgressEvent, UnitMeter
from models.windows import Plan
from tests.support.pictures import decoded, encoded, photo

REGIONS = [
    Rect(0, 0, 30, 20),
    Rect(100, 90, 61, 17),
    Rect(290, 5, 30, 11),
    Rect(120, 222, 40, 18),
    Rect(104, 112, 9, 9),
]


def plan(mask: Mask, hd: HDOptions, max_window_px: int) -> Plan:
    return crops.plan(mask, hd, max_window_px, costs_of(EngineInfo("lama", "cpu", precision="bfloat16")))


class Recorder(OpenCVEngine):
    """The real engine, remembering what it was asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("recorder", "cpu")

    def run(self, image: Image, mask: Mask, options: DiffusionOptions, on_step: Callable[[int, int], None], should_stop: Callable[[], bool]) -> Filling:  # fmt: skip  # noqa: E501
        self.sizes.append((image.shape[1], image.shape[0]))
        return super().run(image, mask, options, on_step, should_stop)


def ours(
    image: Image, mask: Mask, hd: HDOptions, max_window_px: int = 2048, stop: Callable[[], bool] = lambda: False
) -> tuple[Image, Recorder, list[ProgressEvent]]:
    engine, events = Recorder(), list[ProgressEvent]()
    boxes = region_boxes(REGIONS, image.shape[1], image.shape[0])
    planned = plan(mask, hd, max_window_px)
    filled = inpaint_array(image, mask, planned, boxes, DiffusionOptions(), engine, UnitMeter(events.append), stop)
    return filled.image, engine, events


@pytest.mark.parametrize("strategy", ["Original", "Crop", "Resize"])
@pytest.mark.parametrize("trigger", [100, 5000])
def test_equal_to_iopaint(strategy: str, trigger: int) -> None:
    image = photo(320, 241)
    mask = regions_to_mask(REGIONS, 320, 241)
    request = InpaintRequest(
        hd_strategy=TheirStrategy(strategy),
        hd_strategy_crop_trigger_size=max(128, trigger),
        hd_strategy_crop_margin=24,
        hd_strategy_resize_limit=max(512 if trigger > 5000 else 150, trigger),
    )
    theirs = OpenCV2(torch.device("cpu"))(image.copy(), mask.copy(), request).astype(np.uint8)[:, :, ::-1]
    hd = HDOptions(HDStrategy(strategy), max(128, trigger), 24, request.hd_strategy_resize_limit)
    filled, _, _ = ours(image, mask, hd)
    assert np.array_equal(filled, theirs)
    assert not np.array_equal(filled, image)


@pytest.mark.parametrize("strategy", list(HDStrategy))
@pytest.mark.parametrize("max_window_px", [2048, 128])
def test_pixels_outside_the_mask_never_change(strategy: HDStrategy, max_window_px: int) -> None:
    image = photo(320, 240, seed=3)
    mask = regions_to_mask([*REGIONS, Rect(30, 130, 250, 70)], 320, 240)
    before = image.copy()
    filled, engine, _ = ours(image, mask, HDOptions(strategy, 128, 32, 160), max_window_px)
    assert np.array_equal(image, before), "the input was written to"
    assert np.array_equal(filled[mask == 0], image[mask == 0])
    assert (filled[mask > 0] != image[mask > 0]).any(axis=1).mean() > 0.8
    assert all(max(size) <= max_window_px for size in engine.sizes)


def test_auto_runs_over_little_of_a_large_image() -> None:
    mask = regions_to_mask([Rect(100, 100, 200, 30), Rect(100, 140, 200, 30), Rect(1300, 1000, 80, 20)], 1600, 1200)
    planned = plan(mask, HDOptions(), 2048)
    assert len(planned.windows) == 2, "neighbouring lines share a window"
    assert sum(w.box.area for w in planned.windows) < 0.15 * 1600 * 1200
    for window in planned.windows:
        assert window.box.left <= window.core.left - 30


def test_too_large_for_original_is_said() -> None:
    planned = plan(regions_to_mask([Rect(5, 5, 9, 9)], 3000, 40), HDOptions(HDStrategy.ORIGINAL), 2048)
    assert planned.strategy is HDStrategy.AUTO
    assert "MAX_IMAGE_SIZE" in planned.notes[0]


@pytest.mark.parametrize("margin", [0, 1, 2])
def test_a_crop_holds_all_of_its_spot(margin: int) -> None:
    hd = HDOptions(HDStrategy.CROP, crop_trigger_size=10, crop_margin=margin)
    for width, height in itertools.product(range(1, 10), repeat=2):
        for left, top in ((20, 15), (0, 0), (40 - width, 30 - height)):
            mask = regions_to_mask([Rect(left, top, width, height)], 40, 30)
            (window,) = plan(mask, hd, 2048).windows
            assert np.count_nonzero(mask[window.core.slices]) == width * height, (width, height, left, top)


def test_a_dotted_mask_is_not_cropped_dot_by_dot() -> None:
    mask = np.zeros((1000, 1500), np.uint8)
    mask[::40, ::40][:25, :40] = 255
    hd = HDOptions(HDStrategy.CROP, crop_margin=1)
    assert np.count_nonzero(mask) > 900
    assert len(plan(mask, hd, 2048).windows) == np.count_nonzero(mask)
    mask[::2, ::2] = 255
    planned = plan(mask, hd, 2048)
    assert planned.strategy is HDStrategy.AUTO
    assert len(planned.windows) < 100
    assert "more than 1000 spots" in planned.notes[0]


def test_counting_regions_compares_each_with_each_window_once_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, overlaps = itertools.count(), Box.overlaps
    monkeypatch.setattr(Box, "overlaps", lambda self, other: (next(compared), overlaps(self, other))[1])
    regions = [Rect(x, y, 6, 6) for y in range(5, 790, 40) for x in range(5, 1290, 130)]
    image, mask = np.zeros((800, 1300, 3), np.uint8), regions_to_mask(regions, 1300, 800)
    boxes = region_boxes(regions, 1300, 800)
    planned, events = plan(mask, HDOptions(HDStrategy.CROP, crop_margin=2), 2048), list[ProgressEvent]()
    assert len(planned.windows) == len(boxes) == 200
    inpaint_array(image, mask, planned, boxes, DiffusionOptions(), Recorder(), UnitMeter(events.append), lambda: False)
    assert next(compared) <= 200 * 200
    assert [event.regions_done for event in events] == list(range(201))


def resized(image: Image, mask: Mask, limit: int, engine: Recorder) -> Filling:
    planned = plan(mask, HDOptions(HDStrategy.RESIZE, resize_limit=limit), 2048)
    meter = UnitMeter(lambda event: None)
    return inpaint_array(image, mask, planned, [], DiffusionOptions(), engine, meter, lambda: False)


@pytest.mark.parametrize(
    ("width", "height", "limit", "small"),
    [(2000, 1, 512, (512, 1)), (1, 20_000, 1280, (1, 1280)), (3, 4000, 100, (1, 100))],
)
def test_a_very_thin_picture_is_resized_too(width: int, height: int, limit: int, small: tuple[int, int]) -> None:
    image, mask = photo(width, height), regions_to_mask([Rect(0, 0, 50, 50)], width, height)
    engine = Recorder()
    filled = resized(image, mask, limit, engine)
    assert engine.sizes == [small]
    assert np.array_equal(filled.image[mask == 0], image[mask == 0])


class Telling(Recorder):
    """Reports on what it filled, as engines do that choose among several."""

    def run(self, image: Image, mask: Mask, options: DiffusionOptions, on_step: Callable[[int, int], None], should_stop: Callable[[], bool]) -> Filling:  # fmt: skip  # noqa: E501
        filled = super().run(image, mask, options, on_step, should_stop)
        ys, xs = np.nonzero(mask)
        box = Box(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        return Filling(filled.image, (FillReport(box, "surface", 1.5),), ("Less was done.",))


def test_what_an_engine_tells_survives_resizing() -> None:
    image, mask = photo(900, 700), regions_to_mask([Rect(300, 200, 120, 60)], 900, 700)
    filled = resized(image, mask, 450, Telling())
    (fill,) = filled.fills
    assert (fill.name, fill.error, filled.notes) == ("surface", 1.5, ("Less was done.",))
    found, wanted = fill.box, Box(300, 200, 420, 260)
    assert found.union(wanted) == found, "what was filled is within"
    assert max(abs(found.left - 300), abs(found.top - 200), abs(found.right - 420), abs(found.bottom - 260)) <= 8


def test_progress_counts_units_and_regions() -> None:
    image = photo(900, 700)
    mask = regions_to_mask(REGIONS[:2], 900, 700)
    _, engine, events = ours(image, mask, HDOptions())
    assert [e.units_done for e in events] == list(range(len(engine.sizes) + 1))
    assert events[-1].units_done == events[-1].units_total
    assert [e.regions_done for e in events] == sorted(e.regions_done for e in events)


def test_told_to_stop_it_stops_before_the_next_unit() -> None:
    image = photo(900, 700)
    mask = regions_to_mask([Rect(10, 10, 20, 20), Rect(800, 600, 20, 20)], 900, 700)
    asked = iter([False, True])
    with pytest.raises(WorkCancelled):
        ours(image, mask, HDOptions(), stop=lambda: next(asked))


def test_nothing_masked_nothing_run() -> None:
    assert plan(np.zeros((64, 64), np.uint8), HDOptions(HDStrategy.ORIGINAL), 2048).windows == ()


@pytest.mark.parametrize(
    ("hd", "rect"),
    [
        (HDOptions(), Rect(0, 0, 300, 200)),
        (HDOptions(HDStrategy.ORIGINAL), Rect(0, 0, 300, 200)),
        (HDOptions(HDStrategy.CROP, crop_trigger_size=100, crop_margin=0), Rect(20, 20, 30, 10)),
    ],
)
@pytest.mark.parametrize("engine", [OpenCVEngine(), ClassicEngine(), AutoEngine(None)], ids=lambda e: e.info.name)
def test_where_nothing_is_known_it_is_grey_and_said(hd: HDOptions, rect: Rect, engine: InpaintEngine) -> None:
    result = process(
        InpaintJob((rect,), hd=hd), encoded(photo(300, 200)), None, engine, max_pixels=10**8, max_window_px=2048,
        on_progress=lambda event: None, should_stop=lambda: False,
    )  # fmt: skip
    box = rect.cover()
    assert (decoded(result.data)[box.slices] == 127).all()
    assert "nothing around it is known" in " ".join(result.stats.notes)


@pytest.mark.parametrize("engine", [OpenCVEngine(), ClassicEngine()], ids=lambda e: e.info.name)
@pytest.mark.parametrize(
    "rect", [Rect(0, 0, 250, 400), Rect(0, 0, 500, 200), Rect(0, 200, 500, 200), Rect(200, 0, 300, 400)]
)
def test_tiles_go_on_from_what_is_known(rect: Rect, engine: InpaintEngine) -> None:
    image = np.full((400, 500, 3), (200, 220, 240), np.uint8)
    shown = image.copy()
    shown[rect.cover().slices][::7, ::5] = 0
    result = process(
        InpaintJob((rect,)), encoded(shown), None, engine, max_pixels=10**8, max_window_px=256,
        on_progress=lambda event: None, should_stop=lambda: False,
    )  # fmt: skip
    assert np.abs(decoded(result.data).astype(int) - image).max() <= 2
    assert result.stats.notes == ()
