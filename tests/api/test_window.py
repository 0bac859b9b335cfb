"""Calls through the guard and something like Serve behind it, which keeps whatever it is given: nothing heaps up there,
and nobody who hardly moves keeps a place that others want."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress import places
from ingress.connections import ConnectionLimits, GuardedProtocol
from ingress.edge import Edge
from ingress.window import MOST_UNREAD, PIECE, Window
from tests.support.counted import Counted
from tests.support.service import free_port
from tests.support.uvicorn_server import serving

WHOLE = bytes(range(256)) * 128_000
"""Of an answer: fifteen times the window, and more than kernels hold of a connection."""
RESULT, WORK = b"GET /api/v1/task-result/x", b"POST /api/v1/inpaint"


class Hoard:
    """In the place of Serve's proxy: takes in all that client and application say, whether or not it is wanted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.answered = self.came = 0
        """Bytes that the application said, and the clients."""
        self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        up, down = asyncio.Queue[Message](), asyncio.Queue[Message | None]()

        async def take() -> None:
            while (message := await receive())["type"] != "http.disconnect":
                self.came += len(message.get("body", b""))
                up.put_nowait(message)
            self.left += 1
            up.put_nowait(message)
            working.cancel()

        async def keep(message: Message) -> None:
            self.answered += len(message.get("body", b""))
            down.put_nowait(message)

        async def work() -> None:
            try:
                await self._app(scope, up.get, keep)
            finally:
                down.put_nowait(None)

        working, taking = asyncio.create_task(work()), asyncio.create_task(take())
        try:
            while (message := await down.get()) is not None:
                await send(message)
        finally:
            working.cancel()
            taking.cancel()


class App:
    """Reads its body, waits where told, answers with much: at once, or in pieces as a zip comes."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            if scope["method"] == "GET":
                break  # what reads no body does not wait for one
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        cut = len(WHOLE) // 3
        for piece in (WHOLE[:cut], WHOLE[cut:]) if b"pieces" in scope["query_string"] else (WHOLE,):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Server:
    def __init__(self) -> None:
        self.app = App()
        self.hoard = Hoard(Window(self.app))
        self.metrics = Counted()
        edge = Edge(self.hoard, max_calls=1, metrics=self.metrics)
        limits = {"limits": ConnectionLimits(30, 20, 20), "held": Counter()}
        protocol = type("Guarded", (GuardedProtocol,), limits)
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(edge, port=free_port(), http=protocol, lifespan="off", log_level="critical")
        )
        self.clients: list[asyncio.StreamWriter] = []

    async def call(self, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.uvicorn.config.port, limit=16_384)
        self.clients.append(writer)
        writer.write(pieces[0] + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(pieces[1:]))
        return reader, writer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serving(made.uvicorn):
        yield made
        for client in made.clients:
            client.transport.abort()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_INTERVAL_S", 0.2)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stands_still(value: Callable[[], int]) -> int:
    """Once it has not changed for a while."""
    while True:
        before = value()
        await asyncio.sleep(0.5)
        if value() == before:
            return before


async def error_of(reader: asyncio.StreamReader) -> tuple[int, str]:
    head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def body_of(answer: bytes) -> bytes:
    """Of a chunked one."""
    rest, found = answer.partition(b"\r\n\r\n")[2], []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(found)


@pytest.mark.parametrize("query", [b"", b"?pieces"])
async def test_an_answer_goes_out_as_fast_as_it_is_read(server: Server, query: bytes) -> None:
    reader, _ = await server.call(RESULT + query, b"\r\n")
    await until(lambda: server.hoard.answered > 0)
    said = await stands_still(lambda: server.hoard.answered)
    kernels = 20_000_000  # both ends' buffers on loopback, at the most
    assert MOST_UNREAD < said <= MOST_UNREAD + PIECE + kernels < len(WHOLE)
    answer = await asyncio.wait_for(reader.read(), 60)
    assert body_of(answer) == WHOLE


async def test_many_bytes_may_come_where_they_are_wanted_and_none_where_not(server: Server) -> None:
    size = 300_000
    reader, _ = await server.call(WORK, b"Content-Length: %d\r\n\r\n" % size, bytes(size))
    assert (await reader.readline()).split()[1] == b"200"
    await reader.read()
    came = server.hoard.came
    server.app.may_answer.clear()
    reader, _ = await server.call(RESULT, b"Content-Length: %d\r\n\r\n" % size, bytes(size))
    assert await error_of(reader) == (413, "body_too_large")
    assert server.hoard.came - came <= 2 * 65_536
    assert server.metrics.counts == {("iopaint_calls_refused", "body_too_large"): 1}


async def test_a_body_without_end_while_the_answer_is_read_slowly_ends_the_call(server: Server) -> None:
    reader, writer = await server.call(RESULT, b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await reader.readline()
    came = server.hoard.came
    for _ in range(20):
        writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
    await until(lambda: server.hoard.left == 1)
    assert server.hoard.came - came <= 2 * 65_536


@pytest.mark.usefixtures("soon")
async def test_a_reader_that_stands_still_gives_way_to_the_next(server: Server) -> None:
    held, _ = await server.call(RESULT, b"\r\n")
    await held.readline()
    reader, _ = await server.call(RESULT, b"\r\n")
    assert await error_of(reader) == (503, "service_unavailable"), "it has just begun"
    await stands_still(lambda: server.hoard.answered)
    reader, _ = await server.call(RESULT, b"\r\n")
    assert body_of(await asyncio.wait_for(reader.read(), 60)) == WHOLE
    assert server.hoard.left == 1, "the one that was ended"


@pytest.mark.usefixtures("soon")
async def test_an_upload_that_drips_gives_way_and_is_told_why(server: Server) -> None:
    dripping, _ = await server.call(WORK, b"Content-Length: 100000\r\n\r\n", b"some")
    await until(lambda: server.hoard.came == 4)
    reader, _ = await server.call(WORK, b"Content-Length: 4\r\n\r\n", b"body")
    assert await error_of(reader) == (503, "service_unavailable"), "an upload that has just begun"
    await asyncio.sleep(0.7)
    reader, _ = await server.call(WORK, b"Content-Length: 4\r\n\r\n", b"body")
    assert (await reader.readline()).split()[1] == b"200"
    assert await error_of(dripping) == (408, "upload_timeout")
    refused = "iopaint_calls_refused"
    assert server.metrics.counts == {(refused, "service_unavailable"): 1, (refused, "upload_timeout"): 1}


@pytest.mark.usefixtures("soon")
async def test_work_keeps_its_place_however_long_it_takes(server: Server) -> None:
    server.app.may_answer.clear()
    working, _ = await server.call(WORK, b"Content-Length: 4\r\n\r\n", b"body")
    await until(lambda: server.hoard.came == 4)
    await asyncio.sleep(0.7)
    reader, _ = await server.call(WORK, b"Content-Length: 4\r\n\r\n", b"body")
    assert await error_of(reader) == (503, "service_unavailable")
    server.app.may_answer.set()
    assert body_of(await asyncio.wait_for(working.read(), 60)) == WHOLE


async def test_without_the_guard_an_answer_waits_for_nobody() -> None:
    """As from a proxy that was started without it: nobody there tells what the client took."""
    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    async with asyncio.timeout(5):
        await Window(App())(scope, receive, send)
    assert sent == len(WHOLE)
