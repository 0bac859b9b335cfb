"""How long the Python client waits: for a service that starts, hangs, or says nothing. Both clients, real sockets."""

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import iopaint_client as sdk
import pytest

from tests.support.network import tell_json
from tests.support.service import ROOT, free_port

Act = Callable[[Any], Any]
Using = Callable[[str, Act], Any]


def _blocking(url: str, act: Act) -> Any:
    with sdk.Client(url, timeout_s=8, retries=sdk.Retries(attempts=3)) as client:
        return act(client)


def _awaited(url: str, act: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with sdk.AsyncClient(url, timeout_s=8, retries=sdk.Retries(attempts=3)) as client:
            return await act(client)

    return asyncio.run(run())


@pytest.fixture(params=[_blocking, _awaited], ids=["blocking", "awaited"])
def using(request: pytest.FixtureRequest) -> Using:
    using: Using = request.param
    return using


def golden(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text())
    return told


HEALTHY = json.dumps(golden("health")).encode()
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextlib.contextmanager
def listening(answers: dict[str, bytes], port: int = 0) -> Iterator[str]:
    """A service that answers the paths that end so, opens WebSockets, and says nothing else."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if key := self.headers.get("Sec-WebSocket-Key"):
                accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
                self.wfile.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
                )
            body = next((body for end, body in answers.items() if self.path.endswith(end)), None)
            if body is None:
                over.wait(20)
                return
            tell_json(self, body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_a_service_that_does_not_listen_yet_is_waited_for(using: Using) -> None:
    port, over = free_port(), threading.Event()

    def start() -> None:
        time.sleep(2)
        with listening({"/health": HEALTHY}, port):
            over.wait(20)

    starting = threading.Thread(target=start)
    starting.start()
    try:
        assert using(f"http://127.0.0.1:{port}", lambda client: client.wait_ready(15)).status == "healthy"
    finally:
        over.set()
        starting.join()


def test_what_hindered_it_last_is_told(using: Using) -> None:
    with pytest.raises(sdk.TimedOut, match=r"after 0\.3 s: .* cannot be reached") as raised:
        using(f"http://127.0.0.1:{free_port()}", lambda client: client.wait_ready(0.3))
    assert isinstance(raised.value.__cause__, sdk.ConnectionFailed)
    starting = json.dumps(golden("health") | {"status": "starting", "message": "Loading lama"}).encode()
    with listening({"/health": starting}) as url, pytest.raises(sdk.TimedOut, match="starting: Loading lama"):
        using(url, lambda client: client.wait_ready(0.3))


def test_another_service_is_not_waited_for(using: Using) -> None:
    start = time.monotonic()
    with listening({"/health": b"welcome"}) as url, pytest.raises(sdk.UnexpectedAnswer):
        using(url, lambda client: client.wait_ready(15))
    assert time.monotonic() - start < 5


PROCESSING, COMPLETED = (json.dumps(golden(f"task-{state}")).encode() for state in ("processing", "completed"))
_TASK = golden("task-processing")["task_id"]


@pytest.mark.parametrize(
    ("answers", "act"),
    [
        ({}, lambda client: client.wait_ready(0.3)),
        ({}, lambda client: client.task(_TASK).result(0.3)),
        ({f"/task-status/{_TASK}": PROCESSING}, lambda client: client.task(_TASK).result(0.3)),
        ({f"/task-status/{_TASK}": COMPLETED}, lambda client: client.task(_TASK).result(0.3)),
        ({}, lambda client: client.batch("b").wait(0.3)),
    ],
    ids=["health", "state", "websocket", "picture", "batch"],
)
def test_patience_holds_with_a_service_that_says_nothing(using: Using, answers: dict[str, bytes], act: Act) -> None:
    start = time.monotonic()
    with listening(answers) as url, pytest.raises(sdk.TimedOut):
        using(url, act)
    assert time.monotonic() - start < 4


def test_patience_holds_while_nobody_listens(using: Using) -> None:
    """The repeats that are due anyway end with it."""
    with pytest.raises(sdk.TimedOut):
        using(f"http://127.0.0.1:{free_port()}", lambda client: client.task("t").result(0.1))
