"""The guard of Serve's proxy over real sockets: uvicorn with our protocol and the edge, before a small application."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from starlette.types import ASGIApp, Receive, Scope, Send

from ingress.connections import ConnectionLimits, GuardedProtocol
from ingress.edge import Edge, guard
from tests.support.service import free_port
from tests.support.uvicorn_server import serving

IDLE_S = 0.4
LARGE = 20_000_000


class App:
    """Echoes the headers, or by its path: waits, answers with much, refuses unread, talks on a WebSocket."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": str(len(message.get("text") or ""))})
            return
        status, body, kind = 200, json.dumps([name.decode() for name, _ in scope["headers"]]).encode(), "text/plain"
        if path == "/large":
            body = bytes(LARGE)
        elif path == "/wait":
            await self.may_end.wait()
        elif path == "/body":
            while (message := await receive()).get("more_body"):
                pass
            if message["type"] == "http.disconnect":
                self.left.set()
                return
        elif path in ("/refuse", "/refuse-and-close"):
            status, body, kind = 413, b'{"detail": "too large"}', "application/json"
        elif path == "/bug":
            status, body = 500, b'File "/home/secret.py", line 3, in inside'
        elif path == "/no-file":
            status, body = 404, b"Not Found"
        elif path == "/no-application":
            status, body = 404, b"Path '/x' not found. Ping http://.../-/routes for available routes."
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if path == "/refuse-and-close":
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Server:
    def __init__(self, port: int, app: App) -> None:
        self.port = port
        self.app = app

    async def connect(self, origin: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**26, local_addr=(origin, 0))

    async def ask(self, *pieces: bytes, origin: str = "127.0.0.1") -> bytes:
        """Everything until the server closes; each piece is a packet of its own."""
        reader, writer = await self.connect(origin)
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b"reset"
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    limits = ConnectionLimits(IDLE_S, max_connections=20, max_connections_of_one=15)
    app = App()
    edge: ASGIApp = Edge(app, max_calls=2)
    made = uvicorn.Server(
        uvicorn.Config(
            edge,
            port=free_port(),
            http=type("Guarded", (GuardedProtocol,), {"limits": limits, "held": Counter()}),
            lifespan="off",
            log_level="critical",
            timeout_keep_alive=1,
        )
    )
    async with serving(made):
        yield Server(made.config.port, app)
        app.may_end.set()


HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("pieces", [[b""], [b"\r\n"], [b"GET / HT"], [b"GET / HTTP/1.1\r\n", b"X: ", b"y"]])
async def test_silence_and_slow_headers_end_the_connection(server: Server, pieces: list[bytes]) -> None:
    answer = await server.ask(*pieces)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


async def test_headers_that_drip_on_a_used_connection_end_it(server: Server) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b" 408 " in await server.ask(whole, whole[:7], b"T", b"T")


async def test_headers_of_any_length_are_not_taken_in(server: Server) -> None:
    filler = b"x" * 10_000
    for endless in ([b"X: "] + [filler] * 10, [b"A: b\r\n" * 2000] * 10, [b"\r\n" * 5000] * 10):
        start = b"" if endless[0].startswith(b"\r\n") else b"GET / HTTP/1.1\r\n"
        answer = await server.ask(start, *endless)
        assert b" 431 " in answer or answer in (b"", b"reset"), answer[:200]


async def test_bodies_that_are_mostly_frame_are_ended(server: Server) -> None:
    for noise in (b"1\r\na\r\n" * 3000, b"1;" + b"x" * 20_000, b"0\r\nTrailer: " + b"x" * 20_000):
        pieces = [noise] + [noise if noise.endswith(b"\r\n") else b"x" * 20_000] * 8
        answer = await server.ask(CHUNKED, *pieces)
        assert b" 200 " not in answer, noise[:20]
    ordinary = (b"2000\r\n" + bytes(0x2000) + b"\r\n") * 200 + b"0\r\n\r\n"
    assert b" 200 " in await server.ask(CHUNKED, ordinary)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\nx",
        b"Content-Length: 99999999999999999999999\r\n\r\nx",
        b"Bad header\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
    ],
)
async def test_requests_that_two_parsers_could_read_differently_are_refused(server: Server, head: bytes) -> None:
    answer = await server.ask(HEAD + head)
    assert b" 400 " in answer
    assert b" 200 " not in answer


async def test_a_slow_reader_is_ended_and_a_steady_one_is_served(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(3 * IDLE_S)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(LARGE), 20)
    writer.close()
    answer = await server.ask(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert len(answer) > LARGE


@pytest.mark.parametrize("path", [b"/refuse", b"/refuse-and-close"])
async def test_a_refusal_reaches_a_client_that_still_sends(server: Server, path: bytes) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n"
    answer = await server.ask(head, *([bytes(1_000_000)] * 8))
    assert b" 413 " in answer
    assert answer.endswith(b'{"detail": "too large"}')


@pytest.mark.parametrize(
    ("of_one", "of_another", "told"), [(15, 0, b"connections of yours"), (14, 6, b"Too many connections are open")]
)
async def test_too_many_connections_are_told_so(server: Server, of_one: int, of_another: int, told: bytes) -> None:
    held = [await server.connect() for _ in range(of_one)]
    held += [await server.connect("127.0.0.2") for _ in range(of_another)]
    ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await server.ask(ask)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer
    assert told in answer
    if of_another == 0:
        assert b" 200 " in await server.ask(ask, origin="127.0.0.3"), "one address took all places"
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    for _ in range(30):
        assert b" 200 " in await server.ask(ask), "a place was not given back"


async def test_websockets_hold_no_place_of_a_connection(server: Server) -> None:
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(18):
            await opened.enter_async_context(websockets.connect(f"ws://127.0.0.1:{server.port}/"))
        assert b" 200 " in await server.ask(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


async def test_calls_beyond_the_bound_are_refused_unread_and_health_is_not(server: Server) -> None:
    held = [await server.connect() for _ in range(2)]
    for _, writer in held:
        writer.write(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
    await asyncio.sleep(0.05)
    refused = await server.ask(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
    head, _, body = refused.partition(b"\r\n\r\n")
    assert b" 503 " in head
    assert b"retry-after: " in head
    assert json.loads(body)["error"] == "service_unavailable"
    for call in (b"GET /api/v1/health", b"POST /api/v1/cancel-task/x"):
        line = call + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert b" 200 " in await server.ask(line)
    server.app.may_end.set()
    for reader, writer in held:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 200 " in await server.ask(
        b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "name",
    ["X-Request-Timeout-Seconds", "x-request-disconnect-disabled", "serve_multiplexed_model_id",
     "Serve-Multiplexed-Model-Id", "X-Session-Id", "x_session_id", "X-IOPaint-Window"],
)  # fmt: skip
async def test_headers_that_steer_serve_do_not_arrive(server: Server, name: str) -> None:
    answer = await server.ask(f"GET / HTTP/1.1\r\nConnection: close\r\n{name}: ?1\r\nX-Mine: 1\r\n\r\n".encode())
    got = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert sorted(got) == ["connection", "x-iopaint-window", "x-mine", "x-request-id"], "the second is the guard's own"


@pytest.mark.parametrize(("path", "status", "error"), [("/bug", 500, "internal_error"),
                                                       ("/no-application", 503, "service_unavailable")])  # fmt: skip
async def test_serves_own_errors_have_our_shape_and_say_nothing(
    server: Server, path: str, status: int, error: str
) -> None:
    answer = await server.ask(f"GET {path} HTTP/1.1\r\nConnection: close\r\nX-Request-ID: mine-1\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head
    said: dict[str, Any] = json.loads(body)
    assert (said["error"], said["request_id"]) == (error, "mine-1")
    assert b"secret" not in answer
    assert b"/-/" not in answer


async def test_the_applications_own_errors_stay(server: Server) -> None:
    answer = await server.ask(b"GET /no-file HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b" 404 " in answer
    assert answer.endswith(b"Not Found")


async def test_large_and_compressed_messages(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/"
    most = ConnectionLimits(1, 1, 1).max_message_bytes
    async with websockets.connect(url, max_size=None) as socket:
        assert socket.protocol.extensions == [], "compression was agreed on"
        await socket.send("x" * most)
        assert await socket.recv() == str(most)
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(["x" * 1000] * (most // 1000 + 1))  # in fragments
        await socket.wait_closed()
        assert socket.close_code == 1009


async def test_very_many_messages_at_once_end_the_connection(server: Server) -> None:
    """A thousand are a client's that subscribes to all it may; forty thousand in one packet are nobody's."""
    empty = b"\x81\x80\0\0\0\0"
    for count, may in ((1000, True), (40_000, False)):
        reader, writer = await server.connect()
        writer.write(UPGRADE)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1 if may else 5):  # packets are as large as the kernel likes
                writer.write(empty * count)
                await writer.drain()
        try:
            answers = await asyncio.wait_for(reader.readexactly(3 * count), 20)
        except (asyncio.IncompleteReadError, ConnectionError):
            answers = b""
        assert answers == (b"\x81\x010" * count if may else b"")
        writer.close()


async def test_text_that_is_none_ends_the_connection_and_is_no_bug(server: Server) -> None:
    """The fuzzer's find: with a close behind it in one packet, it left a trace in the log."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    reader, writer = await server.connect()
    writer.write(UPGRADE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x81\0\0\0\0\xff" + b"\x88\x80\0\0\0\0")
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 20)
    writer.close()
    assert told == []


async def test_a_socket_that_waits_is_not_a_slow_header(server: Server) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as socket:
        await asyncio.sleep(3 * IDLE_S)
        await socket.send("xx")
        assert await socket.recv() == "2"


def test_the_guard_takes_the_place_of_uvicorns_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    from uvicorn.protocols.http import auto

    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    monkeypatch.setenv("UPLOAD_IDLE_TIMEOUT", "7")
    (middleware,) = guard()
    assert repr(middleware).startswith("Middleware(Edge,")
    config = uvicorn.Config(App())
    config.load()
    assert issubclass(config.http_protocol_class, GuardedProtocol)
    assert config.http_protocol_class.limits.idle_s == 7


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://a.example", "https://a.example"), ("https://b.example", None), ("", None)]
)
async def test_the_guards_refusals_keep_to_the_origins(origin: str, allowed: str | None) -> None:
    edge = Edge(App(), max_calls=0, origins=("https://a.example",))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://x") as client:
        answer = await client.post("/", headers={"Origin": origin} if origin else {})
    assert answer.status_code == 503
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert answer.headers["vary"] == "Origin", "or a cache would give one origin's answer to another"
    everybody = Edge(App(), max_calls=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(everybody), base_url="http://x") as client:
        assert (await client.post("/")).headers["access-control-allow-origin"] == "*"
