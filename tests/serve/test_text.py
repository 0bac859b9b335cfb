"""Finding text, over real HTTP: nobody names a region."""

import time
from typing import Any

import numpy as np
import requests

from models.masks import regions_to_mask
from tests.support.pictures import b64, decoded, encoded, photo
from tests.support.service import Service
from tests.support.text_pages import draw_line, matched

CLEAN = photo(640, 480)
PIXELS = CLEAN.copy()
LINES = (
    draw_line(PIXELS, "every boat must go", (200, 90), 34, 0, "white", "black"),
    draw_line(PIXELS, "open until sunset", (420, 300), 30, 25, "white", "black"),
)
IMAGE = encoded(PIXELS)
BODY: dict[str, Any] = {"image": b64(IMAGE)}


def post(service: Service, path: str, body: dict[str, Any], **options: Any) -> requests.Response:
    return requests.post(f"{service.url}/api/v1/{path}", json=body, timeout=120, **options)


def outlines(found: requests.Response) -> list[tuple[tuple[float, float], ...]]:
    return [tuple((x, y) for x, y in line["points"]) for line in found.json()["lines"]]


def assert_text_is_gone(picture: bytes) -> None:
    out = decoded(picture)
    ink = (PIXELS != CLEAN).any(axis=2)
    assert (out[ink] != PIXELS[ink]).any(axis=1).mean() > 0.98, "every letter was filled"
    around = regions_to_mask([], 640, 480)
    for line in LINES:
        (left, top), (right, bottom) = np.min(line, axis=0).astype(int) - 15, np.max(line, axis=0).astype(int) + 15
        around[max(0, top) : bottom, max(0, left) : right] = 255
    assert np.array_equal(out[around == 0], PIXELS[around == 0]), "pixels far from the text changed"


def test_text_is_found_and_removed(service: Service) -> None:
    found = post(service, "detect-text", BODY)
    assert found.status_code == 200, found.text
    lines = outlines(found)
    assert (len(lines), matched(LINES, lines)) == (2, 2)
    removed = post(service, "remove-text", BODY)
    assert removed.status_code == 200, removed.text
    assert (removed.headers["x-regions-count"], removed.headers["x-model"]) == ("2", "auto")
    assert_text_is_gone(removed.content)
    # On this ground of coloured blobs a fill has edges of its own, some of which may pass for a line elsewhere.
    assert matched(LINES, outlines(post(service, "detect-text", {"image": b64(removed.content)}))) == 0
    form = requests.post(f"{service.url}/api/v1/remove-text", files={"image": ("a.png", IMAGE)}, timeout=120)
    assert np.array_equal(decoded(form.content), decoded(removed.content))
    area = {"x": 330, "y": 200, "width": 200, "height": 200}
    assert post(service, "remove-text", BODY | {"exclude": [area]}).headers["x-regions-count"] == "1"


def test_a_task_finds_its_regions_itself(service: Service) -> None:
    task_id = post(service, "remove-text-async", BODY | {"task_id": "text-1"}).json()["task_id"]
    end = time.monotonic() + 60
    while time.monotonic() < end:
        status = requests.get(f"{service.url}/api/v1/task-status/{task_id}", timeout=10).json()
        if status["status"] in ("completed", "error"):
            break
        time.sleep(0.2)
    assert (status["status"], status["current_region"], status["total_regions"]) == ("completed", 2, 2)
    result = requests.get(f"{service.url}/api/v1/task-result/{task_id}", timeout=10)
    assert result.headers["x-regions-count"] == "2"
    assert_text_is_gone(result.content)


def test_a_picture_without_text_comes_back_untouched(service: Service) -> None:
    answer = post(service, "remove-text", {"image": b64(encoded(CLEAN))})
    assert (answer.status_code, answer.headers["x-regions-count"]) == (200, "0")
    assert np.array_equal(decoded(answer.content), CLEAN)
