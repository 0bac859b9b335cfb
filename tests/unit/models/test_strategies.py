"""Crop, Resize and Original mean what they mean in IOPaint: its own class, side by side."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from iopaint.model.opencv2 import OpenCV2
from iopaint.schema import HDStrategy as TheirStrategy
from iopaint.schema import InpaintRequest

from models import crops
from models.costs import costs_of
from models.engine import EngineInfo, Filling, Image, Mask
from models.engines.opencv import OpenCVEngine
from models.errors import WorkCancelled
from models.geometry import Rect
from models.job import DiffusionOptions, HDOptions, HDStrategy
from models.masks import region_boxes, regions_to_mask
from models.pipeline import ProgressEvent, UnitMeter, inpaint_array
from models.windows import Plan
from tests.support.pictures import photo

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
