"""WebSockets through the guard: a few trunks behind it, and each client sees its own socket as if it were alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
import uvicorn
import websockets
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ingress import trunk
from ingress.app import create_app
from ingress.edge import Edge
from ingress.trunk import TrunkEnd
from tests.support.fakes import config, services
from tests.support.service import free_port


class Talker:
    """An application: says who came, echoes, closes when told to, refuses one path, keeps why each client left."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"].endswith("/refused"):
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.ensure_future(self._app(scope, receive, send))
        self.calls.append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()


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
    running = asyncio.create_task(made.uvicorn.serve())
    while not made.uvicorn.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield made
    made.uvicorn.should_exit = made.uvicorn.force_exit = True
    await running


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
    monkeypatch.setattr(trunk, "MAX_SOCKETS", 2)
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
        with nullcontext() if guarded else pytest.raises(WebSocketDisconnect):
            client.websocket_connect(trunk.PATH).__enter__().close()
