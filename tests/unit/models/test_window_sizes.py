"""What IOPaint's classes fill up by mirroring is what our plans avoid, and what its memory is reckoned for."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from iopaint.helper import pad_img_to_modulo
from iopaint.model import SDXL, models

from models.auto_crops import auto_windows
from models.catalog import ERASE
from models.costs import costs_of
from models.engine import EngineInfo
from models.engines.diffusion import _XL_TRAINED_PX
from models.engines.iopaint import _ONE_SIZE, sizes_of
from models.geometry import Rect
from models.masks import regions_to_mask
from models.windows import WindowSizes

CLASSES = {name: models[name] for name in ERASE} | {"sd": models["runwayml/stable-diffusion-inpainting"]}
LINES = [Rect(900, 40, 700, 50), Rect(30, 700, 60, 20), Rect(900, 720, 60, 400), Rect(1400, 1300, 300, 190)]


def sizes(name: str) -> WindowSizes:
    return sizes_of(CLASSES[name], shrinks=name in _ONE_SIZE)


def filled_up(model: Any, width: int, height: int) -> tuple[int, int]:
    picture = np.zeros((height, width, 3), np.uint8)
    padded = pad_img_to_modulo(picture, model.pad_mod, model.pad_to_square, model.min_size)
    return padded.shape[1], padded.shape[0]


@pytest.mark.parametrize("name", CLASSES)
def test_pixels_are_those_that_iopaint_runs_over(name: str) -> None:
    for width, height in product((33, 300, 512), repeat=2):
        columns, rows = filled_up(CLASSES[name], width, height)
        assert sizes(name).pixels(width, height) == columns * rows
    if name in _ONE_SIZE:
        assert sizes(name).pixels(2048, 100) == 512 * 512


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_auto_plans_windows_that_a_model_takes_as_they_are(name: str, device: str) -> None:
    mask = regions_to_mask(LINES, 2000, 1600)
    windows = auto_windows(mask, 2048, costs_of(EngineInfo(name, device, sizes=sizes(name))))
    for box in (window.box for window in windows):
        if max(box.width, box.height) < 1600:  # as large as the picture: there is no more of it
            assert filled_up(CLASSES[name], box.width, box.height) == (box.width, box.height)
    if name in _ONE_SIZE:
        assert {(window.box.width, window.box.height) for window in windows} == {(512, 512)}
    covered = sum(int((mask[w.core.top : w.core.bottom, w.core.left : w.core.right] > 0).sum()) for w in windows)
    assert covered >= (mask > 0).sum()


def test_a_small_picture_is_one_window() -> None:
    mask = regions_to_mask([Rect(100, 90, 60, 20)], 300, 200)
    for name in CLASSES:
        assert [w.box.width for w in auto_windows(mask, 2048, costs_of(EngineInfo(name, "cpu", sizes=sizes(name))))]


def test_sdxl_gets_windows_of_the_size_that_it_was_trained_on() -> None:
    xl = sizes_of(SDXL, trained_px=_XL_TRAINED_PX)
    mask = regions_to_mask([Rect(900, 900, 60, 20)], 2000, 1600)
    (window,) = auto_windows(mask, 2048, costs_of(EngineInfo("a/xl", "cpu", sizes=xl)))
    assert (window.box.width, window.box.height) == (1024, 1024)
    assert xl.pixels(600, 600) == 600 * 600
