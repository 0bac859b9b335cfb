"""What is made strip by strip is what would be made in one piece."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.backgrounds import BACKGROUNDS
from models import geometry
from models.codec import ColourBlocks
from models.geometry import Box
from models.job import MaskMode, MaskOptions
from models.regions import RegionMasks
from models.strokes.means import mean_about, means_by_strips

WIDTH, HEIGHT = 420, 300


def lettered(ground: str) -> NDArray[np.uint8]:
    """As a JPEG leaves it."""
    picture = np.ascontiguousarray(BACKGROUNDS[ground](np.random.default_rng(4), HEIGHT, WIDTH))
    for y in range(50, HEIGHT, 50):
        cv2.putText(picture, "Some words in lines", (30, y), 0, 1, (30, 20, 90), 2, 16)
    compressed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return np.asarray(cv2.imdecode(compressed, cv2.IMREAD_COLOR), np.uint8)


def made(picture: NDArray[np.uint8]) -> tuple[object, ...]:
    box = Box(12, 10, WIDTH - 12, HEIGHT - 10)
    cover = np.ones((box.height, box.width), bool)
    masks = RegionMasks(picture, [(box, cover)], MaskOptions(MaskMode.STROKES), ColourBlocks(16, 16, 0, 0))
    cleaned = masks.unstained()
    again = masks.judge(np.asarray(cv2.medianBlur(cleaned, 5), np.uint8))
    pixels = (masks.hole(), cleaned, again if again is not None else np.zeros(0))
    return (*(array.tobytes() for array in pixels), masks.reports("x"))


@pytest.mark.parametrize("ground", BACKGROUNDS)
def test_strokes_do_not_depend_on_the_strips(ground: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = lettered(ground)
    in_strips = made(picture)
    monkeypatch.setattr(geometry, "_STRIP_ROWS", HEIGHT)
    assert made(picture) == in_strips


def test_means_are_those_of_the_whole() -> None:
    """Whatever they are used for hides the last of their weights."""
    random = np.random.default_rng(0)
    values, known = random.integers(0, 255, (HEIGHT, 40, 3), np.uint8), random.random((HEIGHT, 40)) < 0.7
    by_strips = np.concatenate([means for _, means in means_by_strips(values, known)])
    assert np.array_equal(by_strips, mean_about(values, known))
