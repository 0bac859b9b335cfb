"""What is told of each region; how finding and judging strokes stops, and how it is seen in progress."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from torch import Tensor

from models.engine import Image
from models.engines.opencv import OpenCVEngine
from models.errors import WorkCancelled
from models.geometry import Box, Rect
from models.job import FillReport, InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.progress import ProgressEvent
from models.regions import RegionMasks
from models.strokes.finder import find_strokes, likelihood
from models.strokes.network import StrokeNet
from models.strokes.novelty import Field
from models.strokes.verdict import Residual, _blurred
from tests.support.pictures import encoded, photo

WORDS = [Rect(20 + 150 * across, 20 + 60 * down, 130, 40) for down in range(3) for across in range(4)]


def test_a_region_that_was_filled_again_tells_its_last_fill_and_its_neighbour_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two words of one line are one group of the first pass, which is larger than that of the second."""
    verdicts = iter([Residual(0.5, erased=False), Residual(0.0, erased=True), Residual(0.0, erased=True)])
    monkeypatch.setattr("models.regions.residual", lambda *_: next(verdicts))
    image = np.full((60, 200, 3), 230, np.uint8)
    for at in (14, 84):
        cv2.putText(image, "word", (at, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 20, 20), 2)
    boxes = [Box(10, 10, 78, 40), Box(80, 10, 150, 40)]
    covers = [(box, np.ones((box.height, box.width), bool)) for box in boxes]
    masks = RegionMasks(image, covers, MaskOptions(MaskMode.STROKES, dilate_px=5))
    both, again = FillReport(Box(12, 12, 140, 38), "pattern", 1.5), FillReport(Box(8, 8, 83, 42), "lama", 3.0)
    assert masks.judge(image, [both]) is not None
    assert masks.judge(image, [again]) is None
    assert [(report.model, report.trial_error) for report in masks.reports("auto")] == [("lama", 3.0), ("pattern", 1.5)]


def words() -> Image:
    image = photo(640, 220)
    for at in WORDS:
        cv2.putText(image, "HELLO", (int(at.x) + 8, int(at.y) + 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 4)
    return image


def told(stop_after: Callable[[ProgressEvent], bool] = lambda _: False) -> list[ProgressEvent]:
    """All events of a job over the words; it is told to stop by the first one of those."""
    events: list[ProgressEvent] = []
    process(
        InpaintJob(tuple(WORDS), masking=MaskOptions(MaskMode.AUTO)), encoded(words()), None, OpenCVEngine(),
        max_pixels=10**6, max_window_px=2048, on_progress=events.append,
        should_stop=lambda: any(stop_after(event) for event in events),
    )  # fmt: skip
    return events


def test_regions_are_counted_as_their_strokes_are_found_and_judged() -> None:
    events = told()
    count = len(WORDS)
    for stage in ("masking", "finalizing"):
        counted = [(event.units_done, event.units_total) for event in events if event.stage == stage]
        # The last unit is all that comes after the regions: a plan, or the encoded picture.
        assert counted[: count + 1] == [(done, count + 1) for done in range(1, count + 2)]
    assert {event.regions_total for event in events if event.stage == "masking"} == {count}


@pytest.mark.parametrize(("stage", "module"), [("masking", "finder"), ("finalizing", "verdict")])
def test_told_to_stop_no_other_region_is_looked_at(stage: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Field] = []

    def counted(*given: Any) -> Field:
        looked.append(likelihood(*given))
        return looked[-1]

    monkeypatch.setattr(f"models.strokes.{module}.likelihood", counted)
    with pytest.raises(WorkCancelled):
        told(lambda event: (event.stage, event.units_done) == (stage, 2))
    assert len(looked) == 2


def test_a_region_as_large_as_a_page_is_left_between_two_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles: list[Tensor] = []
    forward = StrokeNet.forward

    def counted(net: StrokeNet, given: Tensor) -> Tensor:
        tiles.append(forward(net, given))
        return tiles[-1]

    def checkpoint() -> None:
        if len(tiles) == 2:
            raise WorkCancelled("Enough.")

    monkeypatch.setattr(StrokeNet, "forward", counted)
    with pytest.raises(WorkCancelled):
        find_strokes(photo(1400, 1400), [(Box(20, 20, 1380, 1380), np.ones((1360, 1360), bool))], checkpoint=checkpoint)
    assert len(tiles) == 2


def test_judging_a_page_takes_about_as_long_per_pixel_as_judging_a_line() -> None:
    """The blur of the verdict was as wide as a sixth of the region, at any size."""
    values = np.random.default_rng(0).random((600, 900), np.float32)
    exact = cv2.GaussianBlur(values, (0, 0), 100)
    assert np.abs(_blurred(values, 100) - exact).max() < 0.005
    assert (_blurred(values, 12) == cv2.GaussianBlur(values, (0, 0), 12)).all()
