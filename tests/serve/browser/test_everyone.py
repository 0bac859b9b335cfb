"""The page for everyone: keyboard, touch, languages, screen readers, light and dark."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.serve.browser.conftest import Visit
from tests.serve.browser.steps import drag, with_sample
from tests.support.service import Service


def test_all_of_it_by_keyboard(visit: Visit) -> None:
    page = with_sample(visit)
    page.locator("#canvas").focus()
    for _ in range(12):
        page.keyboard.press("Shift+ArrowLeft")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("#status")).to_contain_text("Pointer at")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_contain_text("Corner set")
    for _ in range(17):
        page.keyboard.press("Shift+ArrowRight")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Region 1 added")
    page.keyboard.press("Backspace")
    expect(page.locator("#status")).to_have_text("Region removed")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    for _ in range(40):  # no trap: Tab leads from the picture to the button
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "run":
            break
    assert page.evaluate("document.activeElement.id") == "run"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Before and after")).to_be_focused()


def test_touch(browser: Browser, service: Service) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    try:
        page = Visit(context.new_page(), service.url).open()
        page.get_by_role("button", name="use the sample").tap()
        canvas = page.locator("#canvas")
        canvas.scroll_into_view_if_needed()
        frame = canvas.bounding_box()
        assert frame is not None
        finger = context.new_cdp_session(page)
        points = [(0.1, 0.15), (0.3, 0.2), (0.6, 0.3)]
        for number, (x, y) in enumerate(points):
            at = [{"x": frame["x"] + x * frame["width"], "y": frame["y"] + y * frame["height"]}]
            finger.send(
                "Input.dispatchTouchEvent", {"type": "touchMove" if number else "touchStart", "touchPoints": at}
            )
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(page.get_by_role("listitem")).to_contain_text("Rectangle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
    finally:
        context.close()


@pytest.mark.parametrize(
    ("language", "title", "button"),
    [("zh", "文字去除试验台", "去除所有文字"), ("ja", "文字消去プレイグラウンド", "文字をすべて消す")],
)
def test_languages(visit: Visit, language: str, title: str, button: str) -> None:
    page = visit.open()
    page.locator("#language").select_option(language)
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("button", name=button, exact=True)).to_be_visible()
    assert page.title() == title
    assert page.locator("html").get_attribute("lang", timeout=1000) == {"zh": "zh-CN", "ja": "ja"}[language]


def test_what_a_screen_reader_is_told(visit: Visit) -> None:
    page = with_sample(visit)
    drag(page, (50, 55), (400, 115))
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#result")).to_be_visible()
    tree = page.locator("body").aria_snapshot()
    print(tree)
    for line in (
        "- banner", "- main", '- heading "Text removal playground" [level=1]', '- radiogroup "Tool"',
        '- radio "Rectangle" [checked]', 'application "Picture: draw what to remove"', '- combobox "Model"',
        '- textbox "API key"', '- button "Remove region 1"', '- slider "Before — after"', '- img "Before"',
        '- img "After"', '- link "Download"', '- tab "curl" [selected]', '- tabpanel "curl"',
        '- region "Tasks and queue"', "- status: Done by cv2", "- alert",
    ):  # fmt: skip
        assert line in tree, f"{line}\n{tree}"


_ROLES = (
    "button|link|textbox|combobox|option|slider|radio|radiogroup|tab|heading|img|region|application|spinbutton"
    "|progressbar|navigation|tablist|columnheader"
)
_NAMED = re.compile(rf'^ *- ({_ROLES})(?: "(.*?)")?(?: \[|:|$)', re.MULTILINE)
_THE_SAME_EVERYWHERE = re.compile(
    r"English|curl|Python|JavaScript|png|jpeg|webp|Auto|Original|Crop|Resize|cv2|fake|x|y", re.IGNORECASE
)


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_every_control_has_a_name_in_the_language_of_the_page(visit: Visit, language: str) -> None:
    page = visit.open()
    page.locator("#language").select_option(language)
    page.locator("#sample").click()
    expect(page.locator("#canvas")).to_be_visible()
    page.locator("#canvas").scroll_into_view_if_needed()
    drag(page, (50, 55), (400, 115))
    for folded in page.locator("summary").all():
        folded.click()
    page.locator("input[name=tool][value=brush]").check()
    page.locator("#run").click()
    expect(page.locator("#result")).to_be_visible()
    tree = page.locator("body").aria_snapshot()
    print(tree)
    found = _NAMED.findall(tree)
    assert {role for role, _ in found} >= {"button", "link", "textbox", "combobox", "slider", "radio", "tab", "img"}
    for role, name in found:
        assert name, f"a nameless {role}\n{tree}"
        if not _THE_SAME_EVERYWHERE.fullmatch(name):
            assert bool(re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", name)) == (
                language != "en" or name in ("中文", "日本語")
            ), name
    for landmark in ("- banner", "- main", "- navigation", "- status", "- alert"):
        assert landmark in tree, landmark


def test_progress_is_read_out_and_not_too_often(visit: Visit) -> None:
    page = with_sample(visit)
    for corner in ((50, 55), (420, 300), (50, 300), (420, 55)):
        drag(page, corner, (corner[0] + 60, corner[1] + 50))
    page.get_by_label("Model").select_option("fake")
    page.get_by_role("radio", name="As a task").check()
    page.evaluate(
        """() => {
          const status = document.getElementById("status");
          window.read = [];
          new MutationObserver(() => window.read.push(status.textContent)).observe(status, { childList: true });
        }"""
    )
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done by fake", timeout=20_000)
    told = page.evaluate("window.read")
    steps = [text for text in told if re.fullmatch(r".+, \d+0? %", text)]
    assert len(set(steps)) >= 3, told
    assert len(steps) == len(set(steps)), "the same is read out again and again"
    assert all(text.endswith("0 %") for text in steps)
    assert page.locator("#status").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, service: Service, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 1100, "height": 1300}, locale="en-US", color_scheme="dark" if scheme == "dark" else "light"
    )
    try:
        page = with_sample(Visit(context.new_page(), service.url))
        drag(page, (50, 55), (400, 115))
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.locator("#result")).to_be_visible()
        path = tmp_path / f"playground-{scheme}.png"
        page.screenshot(path=path, full_page=True)
        ground = np.asarray(Image.open(path).convert("L"))[:, :8].mean()
        assert ground > 200 if scheme == "light" else ground < 60
    finally:
        context.close()


@pytest.mark.parametrize("size", [(1280, 800), (1280, 600), (400, 800)])
def test_nothing_covers_anything_wherever_one_scrolls(visit: Visit, size: tuple[int, int]) -> None:
    """The panel stays in sight beside the pictures, and only there."""
    page = visit.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page = with_sample(visit)
    drag(page, (50, 55), (400, 115))
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#result")).to_be_visible()
    for share in (0, 0.3, 0.6, 1):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('main section')].map((one) => one.getBoundingClientRect().toJSON())"
        )
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = (
                    one["right"] <= other["left"] or other["right"] <= one["left"]
                    or one["bottom"] <= other["top"] or other["bottom"] <= one["top"]
                )  # fmt: skip
                assert apart, f"scrolled to {share}: {one} covers {other}"
