"""WebSockets through the guard: a few trunks behind it, and each client sees its own socket as if it were alone."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
import websockets
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ingress import trunk
from ingress.app import create_app
from ingress.edge import Edge
from ingress.trunk import TrunkEnd, proxy
from tests.support.fakes import config, services
from tests.support.service import free_port
from tests.support.uvicorn_server import serving


class Talker:
    """An application: says who came, echoes, closes when told to, keeps why each client left. By its path it refuses,
    or does not read before ``may_read``."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.may_read = asyncio.Event()
        self.read: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"].endswith("/refused"):
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
        if scope["path"].endswith("/deaf"):
            await self.may_read.wait()
            while (message := await receive())["type"] == "websocket.receive":
                self.read.append(message["text"])
            return
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode()
        about = [scope["path"], scope["query_string"].decode(), cookie, scope["client"][0], scope["root_path"]]
        await send({"type": "websocket.send", "text": json.dumps(about)})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you say"})
                return
            if message.get("text") == "fail":
                raise RuntimeError("a bug in one socket")
            await send({**message, "type": "websocket.send"})
        self.left[scope["path"].rsplit("/", 1)[1]] = message["code"]


class Proxy:
    """In the place of Serve's: counts what goes through, and can be cut."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.calls: list[asyncio.Task[None]] = []
        self.up: list[Any] = []
        """Everything that clients said, as it went by."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Serve's proxy takes in what comes, whether or not the replica has asked for it.
        taken: asyncio.Queue[Message] = asyncio.Queue()

        async def take() -> None:
            while (message := await receive())["type"] != "websocket.disconnect":
                self.up += json.loads(message.get("text", "[]"))
                taken.put_nowait(message)
            taken.put_nowait(message)

        taking = asyncio.ensure_future(take())
        task = asyncio.ensure_future(self._app(scope, taken.get, send))
        self.calls.append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            taking.cancel()


class Server:
    def __init__(self) -> None:
        self.talker = Talker()
        self.proxy = Proxy(TrunkEnd(self.talker))
        config = uvicorn.Config(Edge(self.proxy, 8), port=free_port(), lifespan="off", log_level="critical")
        self.uvicorn = uvicorn.Server(config)
        self.url = f"ws://127.0.0.1:{config.port}"

    def connect(self, name: str, **options: object) -> websockets.connect:
        return websockets.connect(f"{self.url}/api/v1/ws/progress/{name}", **options)  # type: ignore[arg-type]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serving(made.uvicorn):
        yield made


async def test_many_sockets_are_one_call_and_do_not_mix(server: Server) -> None:
    async def talk(number: int) -> None:
        async with server.connect(f"s{number}?n={number}", additional_headers={"Cookie": f"c={number}"}) as socket:
            about = json.loads(await socket.recv())
            assert about == [f"/api/v1/ws/progress/s{number}", f"n={number}", f"c={number}", "127.0.0.1", ""]
            for text in (f'first of {number} é\n"', f"second of {number}"):
                await socket.send(text)
                assert await socket.recv() == text
            await socket.send(bytes([number, 0, 255]))
            assert await socket.recv() == bytes([number, 0, 255])
            await together.wait()

    together = asyncio.Barrier(40)
    await asyncio.gather(*(talk(number) for number in range(40)))
    assert len(server.proxy.calls) == 1
    await asyncio.wait_for(asyncio.wait(server.proxy.calls), 10)  # a trunk that carries nobody ends
    assert set(server.talker.left.values()) == {1000}
    assert len(server.talker.left) == 40


async def test_ends_go_both_ways_with_their_codes(server: Server) -> None:
    async with server.connect("stays") as stays:
        await stays.recv()
        async with server.connect("a") as closed:
            await closed.recv()
            await closed.send("close")
            await closed.wait_closed()
        assert (closed.close_code, closed.close_reason) == (4001, "as you say")
        async with server.connect("b") as leaver:
            await leaver.recv()
            await leaver.close(4321)
        with pytest.raises(websockets.InvalidStatus):
            await server.connect("refused").__aenter__()
        async with server.connect("c") as broken:
            await broken.recv()
            await broken.send("fail")
            await asyncio.wait_for(broken.wait_closed(), 10)
        await stays.send("still here")
        assert await stays.recv() == "still here"
        while "b" not in server.talker.left:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert server.talker.left["b"] == 4321


async def test_a_trunk_that_breaks_off_ends_its_sockets_and_another_follows(server: Server) -> None:
    async with server.connect("a") as first, server.connect("b") as second:
        await first.recv()
        await second.recv()
        server.proxy.calls[0].cancel()
        for socket in (first, second):
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 1012
    async with server.connect("a") as again:
        assert json.loads(await again.recv())[0].endswith("/a")
    assert len(server.proxy.calls) == 2


async def test_sockets_beyond_a_trunks_number_get_another(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_SOCKETS", 2)
    async with server.connect("a") as a, server.connect("b") as b, server.connect("c") as c:
        for socket in (a, b, c):
            await socket.recv()
    assert len(server.proxy.calls) == 2


async def test_clients_cannot_be_trunks(server: Server) -> None:
    """Behind the guard; where there is none, the application takes no trunks at all."""
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(f"{server.url}{trunk.PATH}").__aenter__()
    assert server.proxy.calls == []
    for guarded in (True, False):
        client = TestClient(create_app(services()[0], config(), guarded=guarded))
        with contextlib.nullcontext() if guarded else pytest.raises(WebSocketDisconnect):
            client.websocket_connect(trunk.PATH).__enter__().close()


async def test_a_flood_waits_at_its_client_and_holds_up_nobody_else(server: Server) -> None:
    """For an application that does not read: two messages come in, all others stay where they are."""
    messages = [f"{number} " + "x" * 40_000 for number in range(100)]

    async def flood(socket: websockets.ClientConnection) -> None:
        for text in messages:
            await socket.send(text)

    async with server.connect("other") as other, server.connect("deaf") as deaf:
        await other.recv()
        flooding = asyncio.create_task(flood(deaf))
        while not any(event[0] == "text" for event in server.proxy.up):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for number in range(30):
            await other.send(f"echo {number}")
            assert await other.recv() == f"echo {number}"
        came = [event for event in server.proxy.up if event[0] == "text" and not event[2].startswith("echo")]
        assert len(came) <= 2, "more than the window, and the message that fills it"
        assert len(server.proxy.calls) == 1, "both sockets are on one trunk"
        server.talker.may_read.set()
        await asyncio.wait_for(flooding, 60)
        while len(server.talker.read) < len(messages):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert server.talker.read == messages, "nothing is lost, and the order is kept"


async def test_empty_messages_fill_the_window_too(server: Server) -> None:
    async with server.connect("deaf") as deaf, server.connect("other") as other:
        await other.recv()
        for _ in range(500):
            await deaf.send("")
        for number in range(20):
            await other.send(str(number))
            await other.recv()
        assert sum(event[0] == "text" and event[2] == "" for event in server.proxy.up) < 100
        server.talker.may_read.set()


async def test_who_falls_far_behind_is_told_to_come_again() -> None:
    """At the proxy's end itself: how much a kernel holds for a slow reader is the machine's affair."""
    may_go, sent = asyncio.Event(), list[Message]()

    async def slow(message: Message) -> None:
        await may_go.wait()
        sent.append(message)

    one = proxy._Socket()
    passing = asyncio.create_task(one.pass_on(slow))
    for _ in range(500):
        one.put(("text", 0, "x" * 10_000))
    assert one._down.qsize() < 10, "what nobody will read is kept"
    may_go.set()
    await asyncio.wait_for(passing, 10)
    assert (sent[-1]["type"], sent[-1]["code"]) == ("websocket.close", 1013)
    assert "not read" in sent[-1]["reason"]


async def test_who_does_not_read_the_answers_is_not_listened_to_meanwhile(server: Server) -> None:
    """Echoes of 12 MB, none of which is read at first: they neither heap up nor are they lost."""
    texts = [f"{number} " + "x" * 20_000 for number in range(600)]

    async def ask(socket: websockets.ClientConnection) -> None:
        for text in texts:
            await socket.send(text)

    async with server.connect("echo", max_queue=1) as eager, server.connect("other") as other:
        asking = asyncio.create_task(ask(eager))
        await other.recv()
        for number in range(30):
            await other.send(str(number))
            await other.recv()
        await eager.recv()
        for text in texts:
            assert await eager.recv() == text
        await asking
