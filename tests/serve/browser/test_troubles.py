"""What comes late, is given up or fails: the page says what is so, and an answer lands where it belongs."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import requests
from playwright.sync_api import FilePayload, Page, Request, Route, WebSocketRoute, expect

from tests.serve.browser.conftest import Visit
from tests.serve.browser.steps import SAMPLE, drag, with_sample
from tests.support.pictures import encoded, photo

T = TypeVar("T")
SLOW = [(50 + 150 * (number % 4), 50 + 100 * (number // 4)) for number in range(12)]


def slow_task(visit: Visit, kind: str) -> Page:
    """Ready to be sent: places that keep ``fake`` busy for seconds, as regions or as a brushed mask."""
    page = with_sample(visit)
    page.get_by_role("radio", name="Brush" if kind == "mask" else "Rectangle").check()
    for x, y in SLOW:
        drag(page, (x, y), (x + 12, y + 12))
    page.get_by_label("Model").select_option("fake")
    page.get_by_label("Large images").select_option("Crop")
    page.get_by_role("radio", name="As a task").check()
    return page


def png(name: str, size: tuple[int, int]) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": encoded(photo(*size))}


def asks_to_cancel(request: Request) -> bool:
    return request.method == "POST" and "/api/v1/cancel-task/" in request.url


def kept(place: list[T]) -> Callable[[T], None]:
    """Playwright takes no builtin for a handler."""

    def keep(one: T) -> None:
        place.append(one)

    return keep


def until(page: Page, what: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


@pytest.mark.parametrize("kind", ["regions", "mask"])
def test_a_task_is_cancelled_whose_acceptance_is_on_its_way(visit: Visit, kind: str) -> None:
    page = slow_task(visit, kind)
    accepted: list[dict[str, object]] = []

    def hold(route: Route) -> None:
        """The service accepts; the page does not hear of it."""
        accepted.append(route.fetch().json())

    page.route("**/api/v1/inpaint-*", hold)
    page.get_by_role("button", name="Remove", exact=True).click()
    until(page, lambda: accepted)
    with page.expect_request(asks_to_cancel):
        page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#status")).to_have_text("Cancelled")
    task_id = accepted[0].get("task_id") or f"{accepted[0]['batch_id']}.0"
    state = requests.get(f"{visit.url}/api/v1/task-status/{task_id}", timeout=10).json()
    assert state["status"] == "cancelled"
    expect(page.locator("#result")).to_be_hidden()
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("kind", ["regions", "mask"])
def test_a_task_is_cancelled_whose_state_is_on_its_way(visit: Visit, kind: str) -> None:
    page = slow_task(visit, kind)
    held: list[Route] = []
    cancelled = False
    states = re.compile("/api/v1/(batch|task)-status/")
    page.route(states, lambda route: route.continue_() if cancelled else held.append(route))
    page.get_by_role("button", name="Remove", exact=True).click()
    until(page, lambda: held)
    with page.expect_request(asks_to_cancel):
        page.get_by_role("button", name="Cancel", exact=True).click()
    cancelled = True
    for route in held:
        route.continue_()
    expect(page.locator("#status")).to_have_text("Cancelled", timeout=10_000)
    expect(page.locator("#result")).to_be_hidden()


def test_a_cancel_that_fails_is_told_and_may_be_tried_again(visit: Visit) -> None:
    page = slow_task(visit, "regions")
    refusal = {"detail": "Not now.", "error": "internal_error", "request_id": "r"}
    page.route("**/api/v1/cancel-task/*", lambda route: route.fulfill(status=500, json=refusal))
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#status")).to_contain_text("working", timeout=20_000)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Not now.")
    page.unroute_all()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#status")).to_have_text("Cancelled", timeout=10_000)
    expect(page.get_by_role("alert")).to_be_empty()
    visit.faults = [fault for fault in visit.faults if "500" not in fault]  # Chromium's own note of the answer


def test_a_press_in_the_table_outlasts_an_update(visit: Visit) -> None:
    sockets: list[WebSocketRoute] = []
    visit.page.route_web_socket("**/api/v1/ws/progress", kept(sockets))
    asked: list[str] = []

    def cancel(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"task_id": "t1", "status": "cancelled", "message": ""})

    visit.page.route("**/api/v1/cancel-task/*", cancel)
    page = visit.open()
    until(page, lambda: sockets)

    def tell(task_id: str, progress: int) -> None:
        kind = f'"type": "progress_update", "status": "processing", "progress": {progress}'
        sockets[-1].send(f'{{{kind}, "task_id": "{task_id}"}}')

    tell("t1", 10)
    button = page.get_by_role("button", name="Cancel task t1")
    button.focus()
    frame = button.bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    tell("t1", 20)
    expect(page.locator("#tasks tr").first).to_contain_text("20 %")
    expect(button).to_be_focused()
    page.mouse.up()
    until(page, lambda: asked)
    assert [url.rpartition("/")[2] for url in asked] == ["t1"]
    tell("t2", 0)
    expect(page.locator("#tasks tr").first).to_contain_text("t2")
    expect(page.locator("#tasks tr")).to_have_count(2)
    sockets[-1].send('{"type": "task_cancelled", "task_id": "t1"}')
    expect(button).to_have_count(0)
    expect(page.get_by_role("region", name="List of tasks")).to_be_focused()


def test_lines_that_were_found_in_another_picture_are_dropped(visit: Visit) -> None:
    page = with_sample(visit)
    held: list[Route] = []
    page.route("**/api/v1/detect-text", kept(held))
    page.get_by_role("button", name="Find text").click()
    until(page, lambda: held)
    page.locator("#file").set_input_files(png("b.png", (300, 200)))
    expect(page.locator("#canvas")).to_have_attribute("width", "300")
    line = {"points": [[1, 1], [90, 1], [90, 40], [1, 40]], "score": 0.9}
    held[0].fulfill(json={"lines": [line]})
    expect(page.get_by_role("button", name="Find text")).to_be_enabled()
    expect(page.get_by_role("listitem")).to_have_count(0)
    page.get_by_role("button", name="Find text").click()
    until(page, lambda: len(held) == 2)
    held[1].fulfill(json={"lines": [line]})
    expect(page.get_by_role("listitem")).to_have_count(1)


def test_the_picture_that_was_opened_last_is_shown_and_sent(visit: Visit) -> None:
    """Also when an earlier one takes longer to be read."""
    page = visit.open()
    page.evaluate(
        """() => {
          const read = window.createImageBitmap;
          let first = true;
          window.createImageBitmap = async (...given) => {
            const wait = first;
            first = false;
            if (wait) await new Promise((resolve) => (window.readFirst = resolve));
            const made = await read(...given);
            if (wait) setTimeout(() => (window.wasRead = true), 100);
            return made;
          };
        }"""
    )
    for name, size in (("a.png", SAMPLE), ("b.png", (300, 200))):
        page.locator("#file").set_input_files(png(name, size))
    expect(page.locator("#canvas")).to_have_attribute("width", "300")
    page.evaluate("window.readFirst()")
    until(page, lambda: page.evaluate("window.wasRead"))
    expect(page.locator("#canvas")).to_have_attribute("width", "300")
    expect(page.locator("#code")).to_contain_text("b.png")


def test_the_health_line_keeps_up(visit: Visit) -> None:
    page = visit.open()
    health = page.locator("#health")
    expect(health).to_have_attribute("data-state", "good")
    page.get_by_label("Model").select_option("fake")
    page.route("**/api/v1/**", lambda route: route.abort())
    expect(health).to_have_attribute("data-state", "bad", timeout=8_000)
    expect(health).to_contain_text("cannot be reached")
    page.unroute_all()
    expect(health).to_have_attribute("data-state", "good", timeout=8_000)
    expect(page.get_by_label("Model")).to_have_value("fake")
    visit.faults = [fault for fault in visit.faults if "ERR_FAILED" not in fault]  # Chromium's own note


def test_a_refused_origin_is_told_and_a_lost_socket_made_again(visit: Visit) -> None:
    made: list[WebSocketRoute] = []

    def act(socket: WebSocketRoute) -> None:
        made.append(socket)
        if len(made) == 1:
            socket.close(code=1013, reason="Later.")
        else:
            socket.close(code=4403, reason="This origin is not allowed (CORS_ORIGINS).")

    visit.page.route_web_socket("**/api/v1/ws/progress", act)
    page = visit.open()
    expect(page.get_by_role("alert")).to_have_text("This origin is not allowed (CORS_ORIGINS).", timeout=10_000)
    assert len(made) == 2
    expect(page.locator("#health")).to_have_attribute("data-state", "good")


def test_a_key_that_cannot_be_sent_counts(visit: Visit) -> None:
    """For a wrong one where keys are needed; here none is, and the page goes on."""
    page = visit.open()
    page.get_by_label("API key").fill("ключ")
    page.get_by_label("API key").press("Tab")
    expect(page.locator("#health")).to_have_attribute("data-state", "good")


def test_the_task_list_has_a_name_of_its_own(visit: Visit) -> None:
    names = re.findall(r'- region "(.+?)"', visit.open().locator("body").aria_snapshot())
    assert len(names) == len(set(names)), names
