"""The real service over real HTTP and WebSockets."""

import asyncio
import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import aiohttp
import numpy as np
import pytest
import requests
import websockets

from models.masks import regions_to_mask
from tests.support.pictures import b64, decoded, encoded, photo, wire, with_text
from tests.support.service import Service

PIXELS, REGION = with_text(photo(640, 480))
IMAGE = encoded(PIXELS)
BODY: dict[str, Any] = {"image": b64(IMAGE), "regions": [wire(REGION)]}


def assert_text_is_gone(picture: bytes) -> None:
    out = decoded(picture)
    mask = regions_to_mask([REGION], PIXELS.shape[1], PIXELS.shape[0]) > 0
    assert np.array_equal(out[~mask], PIXELS[~mask]), "pixels outside the mask changed"
    clean = photo(640, 480).astype(int)
    before = np.abs(PIXELS[mask] - clean[mask]).mean()
    after = np.abs(out[mask].astype(int) - clean[mask]).mean()
    assert after < 0.6 * before


def test_core(service: Service) -> None:
    root = requests.get(service.url, timeout=10).json()
    assert root["status"] == "running"
    health = service.health()
    assert (health["status"], health["degraded"]) == ("healthy", [])
    model = requests.get(f"{service.url}/api/v1/model", timeout=10).json()
    assert (model["name"], model["status"]) == ("cv2", "ready")
    for path in ("/docs", "/redoc", "/openapi.json", "/docs-assets/redoc.standalone.js"):
        assert requests.get(service.url + path, timeout=10).status_code == 200


def test_regions_as_json_and_as_form(service: Service) -> None:
    response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-model"] == "cv2"
    assert response.headers["x-regions-count"] == "1"
    assert "," not in response.headers["x-request-id"]
    assert_text_is_gone(response.content)
    form = requests.post(
        f"{service.url}/api/v1/inpaint-regions",
        files={"image": ("p.png", IMAGE)},
        data={"regions": json.dumps([wire(REGION)])},
        timeout=60,
    )
    assert form.content == response.content


def test_mask(service: Service) -> None:
    mask = regions_to_mask([REGION], PIXELS.shape[1], PIXELS.shape[0])
    body = {"image": "data:image/png;base64," + b64(IMAGE), "mask": b64(encoded(mask))}
    response = requests.post(f"{service.url}/api/v1/inpaint", json=body, timeout=60)
    assert response.status_code == 200, response.text
    assert_text_is_gone(response.content)
    shown = {
        kind: decoded(requests.post(f"{service.url}/api/v1/inpaint", json=body | {"output": kind}, timeout=60).content)
        for kind in ("mask", "overlay")
    }
    assert (shown["mask"] == mask[..., np.newaxis]).all()
    assert (shown["overlay"][mask == 0] == PIXELS[mask == 0]).all()
    assert (shown["overlay"][mask > 0][:, 0] >= 127).all()


def test_statistics(service: Service) -> None:
    answer = requests.post(f"{service.url}/api/v1/inpaint-regions-json", json=BODY, timeout=60).json()
    assert answer["success"] is True
    assert answer["processing_stats"]["image_dimensions"] == {"width": 640, "height": 480}


async def follow(service: Service, body: dict[str, Any]) -> list[dict[str, Any]]:
    """As the original's backend does: connect, submit with aiohttp, read to the end."""
    url = f"{service.ws}/api/v1/ws/progress/{body['task_id']}"
    async with websockets.connect(url) as socket, aiohttp.ClientSession() as session:
        async with session.post(f"{service.url}/api/v1/inpaint-regions-async", json=body) as response:
            assert response.status == 202, await response.text()
            assert (await response.json())["status"] == "pending"
        messages = [json.loads(message) async for message in socket]
        assert socket.close_code == 1000
    return messages


def check_story(messages: list[dict[str, Any]], last: str) -> None:
    """Progress never falls, one end, and it is the last message."""
    kinds = [m["type"] for m in messages]
    assert kinds[0] == "connection_established"
    assert kinds[-1] == last
    assert sum(kind.startswith("task_") for kind in kinds) == 1
    progress = [m["progress"] for m in messages if m["type"] == "progress_update"]
    assert progress == sorted(progress)


async def test_a_task_is_followed_to_its_end(service: Service) -> None:
    task_id = str(uuid.uuid4())
    messages = await follow(service, BODY | {"task_id": task_id, "enable_progress": True, "model": "fake"})
    check_story(messages, "task_completed")
    assert len({m["progress"] for m in messages if m["type"] == "progress_update"}) >= 3
    path = messages[-1]["result"]["processed_image_path"]
    assert requests.get(service.url + path, timeout=10).status_code == 200
    status = requests.get(f"{service.url}/api/v1/task-status/{task_id}", timeout=10).json()
    assert (status["status"], status["overall_progress"], status["current_region"]) == ("completed", 100, 1)
    again = await _connect_late(service, task_id)
    assert [m["type"] for m in again] == ["connection_established", "task_completed"]
    same = requests.post(
        f"{service.url}/api/v1/inpaint-regions-async", json=BODY | {"task_id": task_id, "model": "fake"}, timeout=10
    )
    assert same.status_code == 200
    other = requests.post(
        f"{service.url}/api/v1/inpaint-regions-async", json=BODY | {"task_id": task_id, "model": "cv2"}, timeout=10
    )
    assert other.status_code == 409


async def _connect_late(service: Service, task_id: str) -> list[dict[str, Any]]:
    async with websockets.connect(f"{service.ws}/api/v1/ws/progress/{task_id}") as socket:
        return [json.loads(message) async for message in socket]


async def test_subscribing_before_submitting_on_the_general_endpoint(service: Service) -> None:
    task_id, noise = str(uuid.uuid4()), str(uuid.uuid4())
    async with websockets.connect(f"{service.ws}/api/v1/ws/progress") as socket:
        await socket.send(json.dumps({"type": "subscribe_task", "task_id": task_id}))
        await socket.send(json.dumps({"type": "ping", "timestamp": "mine"}))
        await socket.send("not json")
        await asyncio.sleep(0.3)
        for one in (noise, task_id):
            body = BODY | {"task_id": one, "model": "fake"}
            await asyncio.to_thread(requests.post, f"{service.url}/api/v1/inpaint-regions-async", json=body)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "task_completed":
            seen.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
    assert [m["type"] for m in seen[:4]] == ["connection_established", "task_subscribed", "pong", "error"]
    assert seen[2]["timestamp"] == "mine"
    assert {m["task_id"] for m in seen[4:]} == {task_id}


async def test_cancel_is_final_and_frees_the_replica(service: Service) -> None:
    task_id = str(uuid.uuid4())

    async def cancel_soon() -> dict[str, Any]:
        while True:
            await asyncio.sleep(0.1)
            url = f"{service.url}/api/v1/task-status/{task_id}"
            status = await asyncio.to_thread(requests.get, url)
            if status.status_code == 200 and status.json()["stage"] == "inpainting":
                answer = await asyncio.to_thread(requests.post, f"{service.url}/api/v1/cancel-task/{task_id}")
                cancelled: dict[str, Any] = answer.json()
                return cancelled

    story = follow(service, _many_windows() | {"task_id": task_id, "model": "fake"})
    messages, answer = await asyncio.gather(story, cancel_soon())
    check_story(messages, "task_cancelled")
    assert answer["status"] == "cancelled"
    assert answer["units_done"] < answer["units_total"]
    await asyncio.sleep(0.5)
    status = requests.get(f"{service.url}/api/v1/task-status/{task_id}", timeout=10).json()
    assert status["status"] == "cancelled"
    assert requests.get(f"{service.url}/api/v1/task-result/{task_id}", timeout=10).status_code == 409
    start = time.monotonic()
    requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, timeout=60)
    assert time.monotonic() - start < 2


def _many_windows() -> dict[str, Any]:
    """Far more units than a test would wait for: 40 windows of 0.8 s each."""
    image = encoded(photo(2000, 2000), "JPEG", quality=20)
    regions = [{"x": 20 + 400 * (i % 5), "y": 20 + 250 * (i // 5), "width": 10, "height": 10} for i in range(40)]
    return {"image": b64(image), "regions": regions}


def test_an_abandoned_call_stops_its_work(service: Service) -> None:
    with pytest.raises(requests.Timeout):
        requests.post(f"{service.url}/api/v1/inpaint-regions", json=_many_windows() | {"model": "fake"}, timeout=3)
    for _ in range(40):
        replicas = requests.get(f"{service.url}/api/v1/health", timeout=10).json()["diagnostics"]["replicas"]
        if sum(r["jobs_running"] for r in replicas) == 0:
            return
        time.sleep(0.2)
    pytest.fail("the work of a call that nobody waits for went on")


class Receiver(BaseHTTPRequestHandler):
    bodies: list[dict[str, Any]]

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(json.loads(data) | {"id": self.headers["webhook-id"]})
        self.send_response(200)
        self.end_headers()


def test_callback(service: Service) -> None:
    bodies: list[dict[str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Bound", (Receiver,), {"bodies": bodies}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/done"
    task_id = str(uuid.uuid4())
    requests.post(
        f"{service.url}/api/v1/inpaint-regions-async",
        json=BODY | {"task_id": task_id, "callback_url": url},
        timeout=10,
    )
    for _ in range(100):
        if bodies:
            break
        time.sleep(0.1)
    server.shutdown()
    server.server_close()
    assert (bodies[0]["task_id"], bodies[0]["status"]) == (task_id, "completed")
    assert_text_is_gone(base64.b64decode(bodies[0]["image_data"]))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"image": "!!!", "regions": [wire(REGION)]}, 400, "unreadable_body"),
        ({"image": b64(IMAGE[:3000]), "regions": [wire(REGION)]}, 400, "invalid_image"),
        ({"image": b64(b"text"), "regions": [wire(REGION)]}, 415, "unsupported_format"),
        ({"image": b64(IMAGE), "regions": [{"x": 9999, "y": 0, "width": 5, "height": 5}]}, 422, "invalid_field"),
        (BODY | {"model": "nope"}, 422, "unknown_model"),
        (BODY | {"hd_strategy": "Best"}, 422, "invalid_field"),
    ],
)
def test_bad_input(service: Service, body: dict[str, Any], status: int, code: str) -> None:
    response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=body, timeout=30)
    assert (response.status_code, response.json()["error"]) == (status, code), response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_ten_clients_at_once(service: Service) -> None:
    """The short form of ``scripts/soak``; health answers all the while."""
    end = time.monotonic() + 15
    finished = 0

    async def client(number: int) -> None:
        nonlocal finished
        while time.monotonic() < end:
            check_story(await follow(service, BODY | {"task_id": f"soak-{number}-{uuid.uuid4()}"}), "task_completed")
            finished += 1

    async def health() -> float:
        slowest = 0.0
        while time.monotonic() < end:
            start = time.monotonic()
            assert (await asyncio.to_thread(service.health))["status"] == "healthy"
            slowest = max(slowest, time.monotonic() - start)
            await asyncio.sleep(0.2)
        return slowest

    slowest, *_ = await asyncio.gather(health(), *(client(n) for n in range(10)))
    assert finished >= 20
    assert slowest is not None
    assert slowest < 2
