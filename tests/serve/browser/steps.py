"""What somebody does on the page, and what they see."""

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from tests.serve.browser.conftest import Visit

SAMPLE = (640, 400)


def with_sample(visit: Visit) -> Page:
    page = visit.open()
    page.get_by_role("button", name="use the sample").click()
    expect(page.locator("#canvas")).to_be_visible()
    page.locator("#canvas").scroll_into_view_if_needed()
    return page


def drag(page: Page, *points: tuple[float, float]) -> None:
    """With the mouse, in image pixels."""
    frame = page.locator("#canvas").bounding_box()
    assert frame is not None
    scale = frame["width"] / SAMPLE[0]
    for number, (x, y) in enumerate(points):
        page.mouse.move(frame["x"] + x * scale, frame["y"] + y * scale, steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def follow_a_task(page: Page, at_least: int) -> None:
    """Two places as a task of ``fake``: its progress moves, in so many steps at least, and the table tells its end."""
    drag(page, (50, 55), (400, 115))
    drag(page, (420, 300), (500, 380))
    page.get_by_label("Model").select_option("fake")
    page.get_by_role("radio", name="As a task").check()
    watch_progress(page)
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done by fake", timeout=30_000)
    assert len(set(seen_progress(page))) >= at_least
    expect(page.locator("#tasks tr").first).to_contain_text("completed")  # by the socket that hears of all tasks
    expect(page.locator("#figures")).to_contain_text(re.compile(r"completed\s*[1-9]"))


def result_of(page: Page, tmp_path: Path) -> Image.Image:
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return Image.open(path)


def darkest_channel(picture: Image.Image) -> NDArray[np.uint8]:
    """The sample's words are almost white; nothing else there is."""
    pixels: NDArray[np.uint8] = np.asarray(picture.convert("RGB"))
    darkest: NDArray[np.uint8] = pixels.min(axis=2)
    return darkest


def shown(page: Page, name: str) -> Image.Image:
    return Image.open(io.BytesIO(page.locator(name).screenshot()))


def watch_progress(page: Page) -> None:
    """From now on, whatever the bar shows is kept for ``seen_progress``."""
    page.evaluate(
        """() => {
          const bar = document.getElementById("progress");
          window.seen = [];
          new MutationObserver(() => bar.hidden || window.seen.push(bar.value)).observe(bar, { attributes: true });
        }"""
    )


def seen_progress(page: Page) -> list[float]:
    seen: list[float] = page.evaluate("window.seen")
    assert seen == sorted(seen)
    return seen
