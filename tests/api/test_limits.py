"""Every limit that `/info` states refuses what is one above, and lets through what is at it."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from deployments.errors import ServiceUnavailable
from ingress.app import create_app
from ingress.limits import BodyLimit
from tests.api.test_rest import BODY, REGION, Api
from tests.support.fakes import config, services
from tests.support.pictures import b64, encoded, photo

JSON = {"content-type": "application/json"}


def nested(levels: int) -> str:
    """JSON of so many containers in one another, the body's own included."""
    return json.dumps(BODY)[:-1] + ', "x": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def limits(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("info").json()["limits"]
    return found


def test_json_depth() -> None:
    api = Api()
    most = limits(api)["max_json_depth"]
    post = api.client.post
    assert post("/api/v1/inpaint-regions", content=nested(most), headers=JSON).status_code == 200
    assert post("/api/v1/inpaint-regions", content=nested(most + 1), headers=JSON).status_code == 400


def test_items_of_a_batch() -> None:
    api = Api()
    most = limits(api)["max_batch_items"]
    small = {"image": b64(encoded(photo(8, 8))), "regions": [{"x": 1, "y": 1, "width": 4, "height": 4}]}
    assert api.post("inpaint-batch", {"items": [small] * most}).status_code == 202
    assert api.post("inpaint-batch", {"items": [small] * (most + 1)}).status_code == 422


def padded(body: dict[str, Any], size: int) -> bytes:
    text = json.dumps(body).encode()
    return text + b" " * (size - len(text))


def test_bodies_at_their_limit_and_one_above() -> None:
    api = Api(max_file_size=10_000_000, max_batch_bytes=200_000)
    calls = {
        "inpaint-regions": (limits(api)["max_body_size"], BODY, 200),
        "inpaint-batch": (limits(api)["max_batch_body_size"], {"items": [BODY]}, 202),
    }
    for path, (most, body, status) in calls.items():
        for size, expected in ((most, status), (most + 1, 413)):
            response = api.client.post(f"/api/v1/{path}", content=padded(body, size), headers=JSON)
            assert response.status_code == expected, f"{path}: {size}"


def polygon(points: int) -> dict[str, Any]:
    return {"points": [[(index % 2) * 50, index / 1000] for index in range(points)]}


def test_polygon_points_together() -> None:
    api = Api(max_polygon_points=100)
    assert limits(api)["max_polygon_points"] == 100
    assert api.post("inpaint-regions", BODY | {"regions": [polygon(60), polygon(40)]}).status_code == 200
    assert api.post("inpaint-regions", BODY | {"regions": [polygon(60), polygon(41)]}).status_code == 422


@pytest.mark.parametrize("filler", [b"[0,0],", b"0,", b"{},"])
def test_json_that_would_grow_in_memory_is_refused_before_it_is_parsed(filler: bytes) -> None:
    body = b'{"image": "", "regions": [' + filler * 1_000_000 + b"0]}"
    response = Api().client.post("/api/v1/inpaint-regions", content=body, headers=JSON)
    assert response.status_code == 400
    assert "too many values" in response.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    for field in ("x", "width"):
        body = json.dumps(BODY).replace(f'"{field}": {REGION[field]}', f'"{field}": {number}')
        assert number in body
        assert Api().client.post("/api/v1/inpaint-regions", content=body, headers=JSON).status_code in (400, 422)


def test_websocket_messages_and_subscriptions() -> None:
    api = Api()
    found = limits(api)
    with api.client.websocket_connect("/api/v1/ws/progress/own") as socket:
        socket.receive_json()
        ping = json.dumps({"type": "ping", "timestamp": ""})
        fill = "x" * (found["max_message_chars"] - len(ping))
        socket.send_text(ping[:-2] + fill + '"}')
        assert socket.receive_json()["type"] == "pong"
        socket.send_text(ping[:-2] + fill + 'x"}')
        assert socket.receive_json()["type"] == "error"
        for number in range(found["max_subscriptions"] - 1):  # the path's own is one
            socket.send_json({"type": "subscribe_task", "task_id": f"t{number}"})
            assert socket.receive_json()["type"] == "task_subscribed"
        socket.send_json({"type": "subscribe_task", "task_id": "one-more"})
        assert "subscriptions" in socket.receive_json()["error"]
        socket.send_json({"type": "unsubscribe_task", "task_id": "t0"})
        socket.send_json({"type": "subscribe_task", "task_id": "one-more"})
        assert [socket.receive_json()["type"] for _ in range(2)] == ["task_unsubscribed", "task_subscribed"]


def test_websockets_of_one_client() -> None:
    api = Api(max_websockets_per_client=2)
    path = "/api/v1/ws/progress"
    with api.client:
        with api.client.websocket_connect(path) as one, api.client.websocket_connect(path) as two:
            assert {one.receive_json()["type"], two.receive_json()["type"]} == {"connection_established"}
            with api.client.websocket_connect(path) as three:
                with pytest.raises(WebSocketDisconnect) as closed:
                    three.receive_json()
                assert closed.value.code == 1013
        with api.client.websocket_connect(path) as again:
            assert again.receive_json()["type"] == "connection_established"


@pytest.mark.parametrize("name", ["%2e%2e", "a%00b", "a%0A", "%0A", "a%20b", "x" * 129, "%ff", "%C3%A9"])
def test_what_is_no_id_reaches_no_path_of_the_archive(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer's finds: a WebSocket's path was not looked at, and a line's end passed everywhere."""
    api = Api()
    asked: list[str] = []
    for ask in ("get", "cancel", "result", "batch"):
        monkeypatch.setattr(api.tasks, ask, asked.append)
    for call in ("task-status", "task-result", "batch-status"):
        assert api.client.get(f"/api/v1/{call}/{name}").status_code == 404
    with api.client.websocket_connect(f"/api/v1/ws/progress/{name}") as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1008
    with api.client.websocket_connect("/api/v1/ws/progress") as socket:
        socket.receive_json()
        for kind in ("subscribe_task", "get_task_status", "cancel_task"):
            socket.send_json({"type": kind, "task_id": unquote(name)})
            assert socket.receive_json()["type"] == "error"
    assert asked == []


def test_a_websocket_on_which_nobody_speaks_is_ended() -> None:
    client = TestClient(create_app(services()[0], replace(config(), websocket_idle_s=0.3)))
    with client.websocket_connect("/api/v1/ws/progress") as socket:
        assert socket.receive_json()["type"] == "connection_established"
        for _ in range(4):  # longer than that in all
            time.sleep(0.15)
            socket.send_json({"type": "ping"})
            assert socket.receive_json()["type"] == "pong"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1001


def test_calls_a_minute_for_each_key() -> None:
    api = Api(requests_per_minute=3, api_keys="a,b")
    answers = [api.post("inpaint-regions", BODY, headers={"X-API-Key": "a"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
    assert answers[3].json()["error"] == "rate_limited"
    assert api.post("inpaint-regions", BODY, headers={"X-API-Key": "b"}).status_code == 200
    assert api.client.get("/api/v1/tasks", headers={"X-API-Key": "a"}).status_code == 200


def test_the_rest_of_a_refused_body_is_not_taken_in() -> None:
    api = Api(max_file_size=1000)
    response = api.client.post("/api/v1/inpaint-regions", content=iter([b" " * 2_000_000]), headers=JSON)
    assert (response.status_code, response.headers["connection"]) == (413, "close")


class Upload:
    """A body that comes in pieces of 10 bytes when told; ``held`` is the middleware under test."""

    def __init__(self, limit: BodyLimit) -> None:
        self.pieces: asyncio.Queue[bool] = asyncio.Queue()
        self.error: Exception | None = None
        self._limit = limit

    async def run(self) -> None:
        scope: Scope = {"type": "http", "path": "/api/v1/inpaint", "method": "POST", "headers": []}

        async def receive() -> Message:
            more = await self.pieces.get()
            return {"type": "http.request", "body": b"x" * 10, "more_body": more}

        async def send(message: Message) -> None:
            raise AssertionError("nothing is sent here")

        try:
            await self._limit(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            self.error = error


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await asyncio.Event().wait()  # the work


async def test_bytes_of_all_bodies_together() -> None:
    limit = BodyLimit(read_all, config(max_inflight_bytes=30))
    first, second, third = (Upload(limit) for _ in range(3))
    running = [asyncio.create_task(upload.run()) for upload in (first, second)]
    for upload, more in ((first, True), (second, False), (first, False)):
        await upload.pieces.put(more)
    await asyncio.sleep(0.05)
    assert first.error is None is second.error, "at the limit"
    third.pieces.put_nowait(False)
    await third.run()
    assert isinstance(third.error, ServiceUnavailable)
    running[0].cancel()
    await asyncio.sleep(0.05)
    third.error = None
    third.pieces.put_nowait(False)
    again = asyncio.create_task(third.run())
    await asyncio.sleep(0.05)
    assert third.error is None, "what ended holds nothing any more"
    for task in (running[1], again):
        task.cancel()


async def test_a_body_that_is_alone_is_let_in() -> None:
    upload = Upload(BodyLimit(read_all, config(max_inflight_bytes=5)))
    running = asyncio.create_task(upload.run())
    upload.pieces.put_nowait(False)
    await asyncio.sleep(0.05)
    assert upload.error is None
    running.cancel()


@pytest.mark.parametrize("settings", [{"upload_idle_timeout": 0.1}, {"request_timeout": 0.1}])
async def test_a_slow_upload_is_ended(settings: dict[str, float]) -> None:
    upload = Upload(BodyLimit(read_all, config(**settings)))
    upload.pieces.put_nowait(True)
    await asyncio.wait_for(upload.run(), 2)
    assert getattr(upload.error, "code", None) == "upload_timeout"


def test_the_words_and_the_status_of_a_slow_upload() -> None:
    from ingress.errors import STATUS, UploadTooSlow

    assert STATUS[UploadTooSlow.code] == 408


async def test_work_is_not_part_of_the_upload() -> None:
    upload = Upload(BodyLimit(read_all, config(upload_idle_timeout=0.05, request_timeout=0.05)))
    upload.pieces.put_nowait(False)
    running = asyncio.create_task(upload.run())
    await asyncio.sleep(0.3)
    assert upload.error is None
    running.cancel()
