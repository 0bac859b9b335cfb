"""A real service that strangers could reach: keys on, short deadlines, listening on every interface."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import iopaint_client as sdk
import numpy as np
import pytest
import requests
import websockets
from playwright.sync_api import expect
from websockets.sync.client import connect

from drills.socket_fuzz import fuzz
from tests.serve.browser.conftest import Visit
from tests.serve.browser.steps import SAMPLE, follow_a_task, result_of
from tests.support.chromium import chromium
from tests.support.pictures import b64, encoded, photo
from tests.support.service import Service, assert_ends_in_order, running
from tests.support.sockets import is_loopback, listening

KEY, OTHER = "key-of-one-client", "key-of-another"
IDLE_S = 3.0
IMAGE = b64(encoded(photo(320, 240)))
BODY: dict[str, Any] = {"image": IMAGE, "regions": [{"x": 40, "y": 60, "width": 120, "height": 30}]}
MINE = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(
        tmp_path_factory.mktemp("edge"),
        IOPAINT_HOST="0.0.0.0",
        IOPAINT_MODELS="cv2,fake",
        IOPAINT_FAKE_UNIT_S="0.5",
        API_KEYS=f"{KEY},{OTHER}",
        REQUEST_TIMEOUT="4",
        UPLOAD_IDLE_TIMEOUT=str(IDLE_S),
    ) as made:
        yield made


def post(service: Service, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{service.url}/api/v1/{path}", json=body, headers=MINE | headers, timeout=60)


def jobs_running(service: Service) -> int:
    health = requests.get(f"{service.url}/api/v1/health", headers=MINE, timeout=10).json()
    return sum(replica["jobs_running"] for replica in health["diagnostics"]["replicas"])


def test_a_call_beyond_its_time_ends_and_so_does_its_work(service: Service) -> None:
    regions = [{"x": 20 + 400 * (i % 5), "y": 20 + 250 * (i // 5), "width": 10, "height": 10} for i in range(40)]
    slow = {"image": b64(encoded(photo(2000, 2000), "JPEG", quality=20)), "regions": regions, "model": "fake"}
    # No header of Serve's lets the sender have more.
    lifted = {"X-Request-Timeout-Seconds": "0", "X-Request-Disconnect-Disabled": "?1"}
    answer = post(service, "inpaint-regions", slow, **lifted)
    assert (answer.status_code, answer.json()["error"]) == (504, "request_timeout")
    end = time.monotonic() + 20
    while jobs_running(service) and time.monotonic() < end:
        time.sleep(0.2)
    assert jobs_running(service) == 0, "the work of a call that was answered went on"


def test_no_header_steers_serve(service: Service) -> None:
    answer = post(service, "inpaint-regions", BODY, **{"X-Request-Timeout-Seconds": "0.001"})
    assert answer.status_code == 200, "the sender's header was Serve's timeout"
    odd = post(service, "inpaint-regions", BODY, **{"X-Request-ID": "a b, c"})
    assert re.fullmatch(r"[\w.-]+", odd.headers["X-Request-ID"])


def test_keys(service: Service) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}):
        refused = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, headers=headers, timeout=10)
        assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
        assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    for path in ("/playground", "/docs", "/api/v1/health", "/openapi.json"):
        assert requests.get(service.url + path, timeout=10).status_code == 200, path
    assert requests.get(f"{service.url}/api/v1/tasks?api_key={KEY}", timeout=10).status_code == 401
    page = requests.get(f"{service.url}/playground", timeout=10).text
    for asset in re.findall(r'(?:src|href)="([^":]+\.(?:js|css))"', page):
        url = requests.compat.urljoin(f"{service.url}/playground/", asset)
        assert requests.get(url, timeout=10).status_code == 200, url


def test_the_python_client_with_keys(service: Service) -> None:
    for key in (None, "wrong"):
        with sdk.Client(service.url, api_key=key) as client:
            for ask in (client.queue, lambda: next(iter(client.messages()))):
                with pytest.raises(sdk.Unauthorized):
                    ask()
    with sdk.Client(service.url, api_key=KEY) as client:
        assert client.submit(photo(320, 240), [(40, 60, 120, 30)], model="fake").result().model == "fake"
        assert next(iter(client.messages()))["type"] == "connection_established"


def test_a_task_and_a_batch_of_one_key(service: Service) -> None:
    for path in ("ws/progress/mine", "ws/progress"):
        with (
            connect(f"{service.ws}/api/v1/{path}?api_key=wrong") as refused,
            pytest.raises(websockets.ConnectionClosed) as closed,
        ):
            refused.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    with connect(f"{service.ws}/api/v1/ws/progress/mine?api_key={KEY}") as socket:
        assert post(service, "inpaint-regions-async", BODY | {"task_id": "mine"}).status_code == 202
        kinds = [json.loads(message)["type"] for message in socket]
    assert kinds[-1] == "task_completed"
    others = {"X-API-Key": OTHER}
    for headers, status in ((MINE, 200), (others, 404), ({}, 401)):
        url = f"{service.url}/api/v1/task-result/mine"
        assert requests.get(url, headers=headers, timeout=10).status_code == status
    assert post(service, "inpaint-batch", {"items": [BODY], "batch_id": "b"}).status_code == 202
    for headers, status in ((MINE, 200), (others, 404)):
        url = f"{service.url}/api/v1/batch-status/b"
        assert requests.get(url, headers=headers, timeout=10).status_code == status
    with connect(f"{service.ws}/api/v1/ws/progress?api_key={OTHER}") as socket:
        socket.recv()
        socket.send(json.dumps({"type": "get_task_status", "task_id": "mine"}))
        assert json.loads(socket.recv(timeout=10))["type"] == "error"


def test_slow_headers_and_slow_uploads_are_ended(service: Service) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    upload = f"POST /api/v1/inpaint HTTP/1.1\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    upload += "Content-Length: 9\r\n\r\n{"
    starts = {
        b"": b"",
        b"GET /api/v1/health HTT": b"408",
        upload.encode(): b"408",
    }
    held = []
    for start in starts:
        held.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        held[-1].sendall(start)
    for waiting, status in zip(held, starts.values(), strict=True):
        answer = b""
        while piece := waiting.recv(65536):
            answer += piece
        assert answer.partition(b"\r\n")[0].split()[1:2] == [status] * bool(status)
        waiting.close()


def test_a_slow_reader_of_an_answer_is_ended(service: Service) -> None:
    """More waits for it than the kernel holds; whoever reads it at an ordinary pace gets the whole."""
    noise = np.random.default_rng(0).integers(0, 256, (1900, 1900, 3), np.uint8)  # PNG cannot make it smaller
    task = BODY | {"image": b64(encoded(noise)), "model": "fake", "task_id": "noise", "regions": BODY["regions"]}
    assert post(service, "inpaint-regions-async", task).status_code == 202
    url = f"{service.url}/api/v1/task-result/noise"
    end = time.monotonic() + 60
    while (whole := requests.get(url, headers=MINE, timeout=60)).status_code == 409:
        assert time.monotonic() < end
        time.sleep(0.3)
    assert len(whole.content) > 10_000_000
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", int(service.url.rsplit(":", 1)[1])))
        slow.sendall(f"GET /api/v1/task-result/noise HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")
        # While it reads nothing, the guard's time runs out; what the kernel holds by then is all that is left.
        time.sleep(4 * IDLE_S)
        taken = 0
        with suppress(ConnectionError):
            while piece := slow.recv(1_000_000):
                taken += len(piece)
    assert taken < len(whole.content) - 1_000_000


def test_what_does_not_exist(service: Service) -> None:
    answer = requests.get(f"{service.url}/api/v1/nothing", headers=MINE | {"X-Request-ID": "mine-7"}, timeout=10)
    assert (answer.status_code, answer.json()["request_id"]) == (404, "mine-7")
    with pytest.raises(websockets.InvalidStatus) as refused, connect(f"{service.ws}/api/v1/nothing?api_key={KEY}"):
        pass
    assert refused.value.response.status_code == 403
    assert b"/" not in refused.value.response.body


def test_only_the_service_can_be_reached_from_outside(service: Service) -> None:
    """Serve binds one port of each replica everywhere, and unpickles what comes there: it must ask for Ray's token."""
    port = int(service.url.rsplit(":", 1)[1])
    sockets = listening({service.process.pid, *service.descendants()})
    outside = {at: pid for at, pid in sockets.items() if not is_loopback(at[0])}
    assert len(sockets) > 10, "Ray's own ports were not found"
    assert outside.pop(("0.0.0.0", port))
    replicas = set(service.named("ray::ServeReplica"))
    for (_, other), pid in outside.items():
        assert pid in replicas, f"{Path(f'/proc/{pid}/cmdline').read_bytes()!r} listens on {other}"
        with grpc.insecure_channel(f"127.0.0.1:{other}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_playground_with_keys(service: Service, tmp_path: Path) -> None:
    """In a real browser: none, a wrong one, then the right one; a task is followed, and its picture seen."""
    with chromium() as browser:
        visit = Visit(browser.new_context(locale="en-US").new_page(), service.url)
        page, health = visit.page, visit.page.locator("#health")
        page.goto(service.url + "/playground")
        expect(health).to_contain_text("asks for an API key")
        page.get_by_role("button", name="use the sample").click()
        for key, told in (("wrong", "does not know this API key"), (KEY, "is ready")):
            page.get_by_label("API key").fill(key)
            page.get_by_label("API key").press("Enter")
            expect(health).to_contain_text(told)
            if key == "wrong":
                page.get_by_role("button", name="Remove all text").click()
                expect(page.get_by_role("alert")).to_contain_text(told)
        page.locator("#canvas").scroll_into_view_if_needed()
        follow_a_task(page, at_least=3)
        assert any("/ws/progress/" in url and f"api_key={KEY}" in url for url in visit.requests)
        with result_of(page, tmp_path) as picture:
            assert picture.size == SAMPLE
        expect(page.locator("#code")).to_contain_text("$API_KEY")
        expect(page.locator("#code")).not_to_contain_text(KEY)
        page.screenshot(path=tmp_path / "playground-with-keys.png", full_page=True)


def test_conversations_that_break_the_protocol(service: Service) -> None:
    """`scripts/fuzz_sockets` has more of them."""
    told = fuzz(service, seed=7, seconds=60, most=120, headers=MINE)
    assert told["closed"] > 20 < told["answered"], told


def test_no_key_and_no_picture_is_in_any_log(service: Service) -> None:
    """It reads what the tests before it left."""
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in service.descendants()]
    (found,) = (re.search(rb"--log_dir=([^\x00]+)", line) for line in commands if b"/gcs_server\x00" in line)
    assert found
    logs = [service.log, *(path for path in Path(found[1].decode()).rglob("*") if path.is_file())]
    texts = {path: path.read_bytes() for path in logs}
    assert any(b"/api/v1/inpaint-regions" in text for text in texts.values()), "no access line was found"
    for path, text in texts.items():
        for secret in (KEY, OTHER, IMAGE[:200], IMAGE[-200:]):
            assert secret.encode() not in text, path


def test_a_signal_ends_it_in_order(service: Service) -> None:
    """The last: the others need it."""
    assert_ends_in_order(service, signal.SIGTERM)
