"""Pictures are cleaned: drawn on, now or as a task, cancelled, compared."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.serve.browser.conftest import Visit
from tests.serve.browser.steps import (
    SAMPLE,
    darkest_channel,
    drag,
    follow_a_task,
    result_of,
    shown,
    with_sample,
)
from tests.support.pictures import encoded, photo


def test_a_rectangle_is_removed_now(visit: Visit, tmp_path: Path) -> None:
    page = with_sample(visit)
    expect(page.get_by_role("button", name="Remove all text")).to_be_enabled()
    drag(page, (50, 55), (400, 115))
    expect(page.get_by_role("listitem")).to_contain_text("Rectangle 50, 55, 350")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("heading", name="Before and after")).to_be_focused()
    expect(page.locator("#status")).to_contain_text("Done by cv2")
    picture = result_of(page, tmp_path)
    assert picture.size == SAMPLE
    assert darkest_channel(picture)[60:110, 60:390].max() < 245, "the words are still there"


def test_the_slider_shows_before_and_after(visit: Visit) -> None:
    page = with_sample(visit)
    drag(page, (50, 55), (400, 115))
    page.get_by_role("button", name="Remove", exact=True).click()
    slider = page.get_by_role("slider", name="Before — after")
    expect(slider).to_be_visible()
    pictures = {}
    for percent in ("0", "100"):
        slider.fill(percent)
        pictures[percent] = np.asarray(shown(page, "#compare").convert("L")).astype(int)
    inside = (slice(60, 110), slice(60, 390))
    assert pictures["100"][inside].max() > 240, "the right end shows the words"
    assert pictures["0"][inside].max() < 240, "the left end shows the picture without them"
    frame = page.locator("#compare").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] * 0.25, frame["y"] + 30)
    page.mouse.down()
    page.mouse.up()
    assert 23 <= float(slider.input_value()) <= 27
    slider.press("ArrowRight")
    assert float(slider.input_value()) > 25


def test_a_task_with_live_progress(visit: Visit) -> None:
    page = with_sample(visit)
    follow_a_task(page, at_least=4)
    expect(page.locator("#tasks tr").first).to_contain_text("100 %")
    assert any("/api/v1/ws/progress/" in url for url in visit.requests)


@pytest.mark.parametrize("where", ["beside", "in the table"])
def test_a_task_is_cancelled(visit: Visit, where: str) -> None:
    page = visit.open()
    large = encoded(photo(1500, 1500), "JPEG", quality=30)
    page.locator("#file").set_input_files({"name": "large.jpg", "mimeType": "image/jpeg", "buffer": large})
    page.get_by_text("Add a rectangle by numbers").click()
    for number in range(12):
        region = {"x": 20 + 360 * (number % 4), "y": 20 + 450 * (number // 4), "width": 9, "height": 9}
        for name, value in region.items():
            page.locator(f"#numbers [name={name}]").fill(str(value))
        page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Model").select_option("fake")
    page.get_by_label("Large images").select_option("Crop")
    page.get_by_role("radio", name="As a task").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#status")).to_contain_text("working", timeout=20_000)
    if where == "beside":
        page.get_by_role("button", name="Cancel", exact=True).click()
    else:
        page.get_by_role("button", name="Cancel task").first.click()
    expect(page.locator("#status")).to_have_text("Cancelled", timeout=10_000)
    expect(page.locator("#tasks tr").first).to_contain_text("cancelled")
    expect(page.locator("#error")).to_be_empty()
    expect(page.get_by_role("button", name="Remove", exact=True)).to_be_enabled()


def test_a_model_that_takes_a_prompt_is_asked_for_one(visit: Visit) -> None:
    page = with_sample(visit)
    expect(page.get_by_label("What shall be there")).to_be_hidden()
    page.evaluate("document.querySelector('#model').add(new Option('owner/inpainting'))")
    page.get_by_label("Model").select_option("owner/inpainting")
    page.get_by_label("What shall be there").fill("a wall of bricks")
    for shown_text in ("'prompt=a wall of bricks'", "'sd_steps=25'", "'model=owner/inpainting'"):
        expect(page.locator("#code")).to_contain_text(shown_text)
    expect(page.locator("#code")).not_to_contain_text("negative_prompt")


def test_a_call_that_is_waited_for_is_cancelled(visit: Visit) -> None:
    page = with_sample(visit)
    drag(page, (50, 55), (400, 115))
    drag(page, (420, 300), (500, 380))
    page.get_by_label("Model").select_option("fake")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#status")).to_have_text("Cancelled")


def test_polygon_and_brush(visit: Visit, tmp_path: Path) -> None:
    """A brush needs a mask: the call is another one, now and as a task."""
    page = with_sample(visit)
    page.get_by_role("radio", name="Polygon").check()
    for point in ((430, 300), (520, 300), (480, 370)):
        drag(page, point)
    page.get_by_role("button", name="Close polygon").click()
    expect(page.get_by_role("listitem")).to_contain_text("Polygon 3")
    expect(page.locator("#code")).to_contain_text('"points"')
    page.get_by_role("radio", name="Brush").check()
    page.get_by_role("slider", name="Brush size").fill("70")
    drag(page, (60, 85), (220, 85), (395, 85))
    expect(page.locator("#code")).to_contain_text("mask=@mask.png")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done by cv2")
    now = result_of(page, tmp_path)
    assert darkest_channel(now)[70:105, 70:385].max() < 245
    page.get_by_role("radio", name="As a task").check()
    page.locator("#result").evaluate("element => { element.hidden = true; }")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#result")).to_be_visible(timeout=20_000)
    assert np.array_equal(np.asarray(result_of(page, tmp_path)), np.asarray(now))


def test_what_is_no_image_and_what_is_refused_are_told(visit: Visit) -> None:
    page = visit.open()
    page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.get_by_role("alert")).to_contain_text("not an image")
    page.get_by_role("button", name="use the sample").click()
    page.get_by_text("Add a rectangle by numbers").click()
    for name in ("x", "y", "width", "height"):
        page.locator(f"#numbers [name={name}]").fill("9000")
    page.get_by_role("button", name="Add", exact=True).click()
    visit.faults.clear()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("regions")
    visit.faults = [fault for fault in visit.faults if "422" not in fault]  # Chromium's own note of the answer


def test_text_is_found_and_without_regions_all_of_it_goes(visit: Visit, tmp_path: Path) -> None:
    page = with_sample(visit)
    page.get_by_role("button", name="Find text").click()
    expect(page.locator("#status")).to_contain_text("Lines of text found", timeout=30_000)
    expect(page.get_by_role("listitem").first).to_contain_text("Polygon")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#code")).to_contain_text("/api/v1/remove-text ")
    page.get_by_role("button", name="Remove all text").click()
    expect(page.locator("#result")).to_be_visible(timeout=30_000)
    assert darkest_channel(result_of(page, tmp_path))[60:110, 60:390].max() < 245, "the words are still there"


def test_a_large_image_is_drawn_on_in_its_own_pixels(visit: Visit) -> None:
    """What is shown is a smaller copy; what is sent is not."""
    page = visit.open()
    large = encoded(np.zeros((3000, 4000, 3), np.uint8), "JPEG")
    page.locator("#file").set_input_files({"name": "large.jpg", "mimeType": "image/jpeg", "buffer": large})
    expect(page.locator("#canvas")).to_have_attribute("width", "2048")
    page.locator("#canvas").scroll_into_view_if_needed()
    frame = page.locator("#canvas").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] / 10, frame["y"] + frame["height"] / 10)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=9)
    page.mouse.up()
    numbers = [int(number) for number in re.findall(r"\d+", page.get_by_role("listitem").inner_text())][1:]
    assert np.allclose(numbers, [400, 300, 1600, 1200], atol=8), numbers


@pytest.mark.parametrize("how", ["dropped", "pasted"])
def test_an_image_is_dropped_or_pasted(visit: Visit, how: str) -> None:
    page = visit.open()
    data = page.evaluate_handle(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "photo.png", { type: "image/png" }));
          return transfer;
        }""",
        list(encoded(photo(300, 200))),
    )
    if how == "dropped":
        page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    else:
        page.evaluate("(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", data)
    expect(page.locator("#canvas")).to_be_visible()
    expect(page.locator("#code")).to_contain_text('image=@"photo.png"')
