"""The detector's class without Ray: one that is missing, one that is slow, one that is real."""

import asyncio
import threading

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from deployments.config import DetectorConfig
from deployments.detector import Detector
from models.detect import TextLine
from models.engine import Image as Pixels
from models.engine import ShouldStop
from models.errors import DetectorUnavailable, ImageTooLarge, InvalidImage, WorkCancelled
from models.geometry import Box, Rect
from models.job import FindText
from tests.support.pictures import encoded, photo, with_text

PIXELS, REGION = with_text(photo(640, 480))
CONFIG = DetectorConfig(max_pixels=640 * 480, threads=1)


class Slow:
    def __init__(self) -> None:
        self.began = threading.Event()
        self.stopped = threading.Event()

    def detect(self, rgb: Pixels, should_stop: ShouldStop) -> list[TextLine]:
        self.began.set()
        while not should_stop():
            self.stopped.wait(0.01)
        self.stopped.set()
        raise WorkCancelled("Stopped.")


async def test_lines_of_a_file() -> None:
    detector = Detector(CONFIG)
    (line,) = await detector.detect(encoded(PIXELS), FindText())
    box = line.region().cover()
    assert box.left <= REGION.x + 2
    assert box.right >= REGION.x + REGION.width - 2
    assert await detector.detect(encoded(PIXELS), FindText(exclude=(Rect(0, 0, 640, 480),))) == ()


async def test_lines_on_transparent_ground() -> None:
    """Both letters and what is not seen are black."""
    picture = Image.new("RGBA", (320, 120))
    ImageDraw.Draw(picture).text((40, 40), "SALE 50%", font=ImageFont.load_default(34), fill="black")
    (line,) = await Detector(CONFIG).detect(encoded(np.asarray(picture)), FindText())
    assert line.region().cover().overlaps(Box(40, 40, 180, 80))


async def test_a_missing_package_is_told_by_every_call() -> None:
    def load(threads: int) -> Slow:
        raise DetectorUnavailable("The package is missing.")

    detector = Detector(CONFIG, load)
    for _ in range(2):
        with pytest.raises(DetectorUnavailable, match="The package is missing"):
            await detector.detect(encoded(PIXELS), FindText())


async def test_a_call_that_nobody_waits_for_ends() -> None:
    slow = Slow()
    detector = Detector(CONFIG, lambda threads: slow)
    call = asyncio.create_task(detector.detect(encoded(PIXELS), FindText()))
    assert await asyncio.to_thread(slow.began.wait, 10)
    call.cancel()
    assert await asyncio.to_thread(slow.stopped.wait, 5)


async def test_what_is_wrong_with_the_picture_is_told() -> None:
    detector = Detector(CONFIG)
    with pytest.raises(ImageTooLarge):
        await detector.detect(encoded(photo(641, 480)), FindText())
    with pytest.raises(InvalidImage):
        await detector.detect(encoded(PIXELS)[:500], FindText())
