"""A real Chromium, for this folder only, in front of the real service that the folder above shares."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import chromium
from tests.support.service import Service


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


class Visit:
    """The page, and what it did that nobody sees: requests, errors."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)

    def open(self) -> Page:
        self.page.goto(self.url + "/playground")
        expect(self.page.locator("#model option").nth(1)).to_be_attached()
        return self.page


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1100, "height": 1300}, locale="en-US", color_scheme="light")
    made = Visit(context.new_page(), service.url)
    yield made
    context.close()
    assert made.faults == []
