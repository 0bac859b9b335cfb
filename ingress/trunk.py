"""Many WebSockets over few calls of Serve: the proxy's end and the application's end of a trunk.

Serve carries every message of a WebSocket from the replica to the proxy as an object of its own: about a millisecond
of either process, five hundred times a second for five hundred watchers. So the guard in the proxy does not hand
sockets to Serve one by one. It opens one WebSocket of its own to the application, a trunk, over which the ASGI messages
of up to ``MAX_SOCKETS`` clients go, gathered for ``_GATHER_S``: JSON lists of ``[kind, socket, ...]``. The application
behind sees each socket as if it had come by itself: same scope, same messages, same middleware.

A trunk that breaks off (its replica was lost, or is replaced) ends its sockets with 1012; clients connect again.
"""

import asyncio
import contextvars
import itertools
import json
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("ray.serve")

PATH = "/api/v1/ws/trunk"
MAX_SOCKETS = 200
_GATHER_S = 0.02
_TAKES_NEW_S = 30.0
"""Younger trunks take new sockets; so they move on to new replicas when these come, and old ones empty."""
_MOST_WAITING = 1000
"""Messages for one socket; a client that far behind has been gone for long."""
_SEND_S = 30.0
"""A client that takes nothing in for so long is gone."""
_RESTART = 1012
_ABOUT = ("path", "root_path", "scheme", "http_version", "client", "server", "subprotocols")
_BYTES = ("raw_path", "query_string")

Event = Sequence[Any]


class Trunks:
    """The proxy's end. ``app`` is Serve's proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._newest: _Trunk | None = None

    async def carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One client's WebSocket, from its first message to its last."""
        if self._newest is None or not self._newest.has_room:
            self._newest = _Trunk(self._app, scope)
        await self._newest.carry(scope, receive, send)


class _Trunk:
    def __init__(self, app: ASGIApp, first: Scope) -> None:
        self._app = app
        self._born = time.monotonic()
        self._up: asyncio.Queue[Event] = asyncio.Queue()
        self._sockets: dict[int, asyncio.Queue[Event]] = {}
        self._numbers = itertools.count()
        self._connected = self._over = False
        request_id = uuid.uuid4().hex.encode()
        host = [(name, value) for name, value in first["headers"] if name.lower() == b"host"]
        self._scope = dict(first) | {
            "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "subprotocols": [], "state": {},
            "headers": [*host, (b"x-request-id", request_id)],
        }  # fmt: skip
        # An empty context: it outlives the client that happened to be the first.
        self._running = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    @property
    def has_room(self) -> bool:
        young = time.monotonic() - self._born < _TAKES_NEW_S
        return young and not self._over and len(self._sockets) < MAX_SOCKETS

    async def carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        number, down = next(self._numbers), asyncio.Queue[Event]()
        self._sockets[number] = down
        self._up.put_nowait(("open", number, _about(scope)))
        reading = asyncio.create_task(self._read(number, receive, down))
        try:
            await _pass_on(down, send)
        finally:
            reading.cancel()
            if self._sockets.pop(number, None) is not None:
                self._up.put_nowait(("gone", number, 1006))  # for the application's end, if it does not know yet
            if not self._sockets:
                self._over = True
                self._up.put_nowait(("end", -1))

    async def _read(self, number: int, receive: Receive, down: asyncio.Queue[Event]) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is not None:
                self._up.put_nowait(("text", number, text))
            else:
                self._up.put_nowait(("bytes", number, message["bytes"].decode("latin-1")))
        self._up.put_nowait(("gone", number, message.get("code", 1005)))
        down.put_nowait(("left", number))

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self._over = True
            for number, down in self._sockets.items():
                down.put_nowait(("lost", number))

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        events = [await self._up.get()]
        while not self._up.empty():
            events.append(self._up.get_nowait())
        if events[-1][0] == "end":
            return {"type": "websocket.disconnect", "code": 1000}
        return {"type": "websocket.receive", "text": json.dumps(events)}

    async def _send(self, message: Message) -> None:
        if message["type"] != "websocket.send":
            return
        for event in json.loads(message["text"]):
            down = self._sockets.get(event[1])
            if down is None:
                continue
            if down.qsize() < _MOST_WAITING:
                down.put_nowait(event)
                continue
            while not down.empty():
                down.get_nowait()
            down.put_nowait(("lost", event[1]))


async def _pass_on(down: asyncio.Queue[Event], send: Send) -> None:
    """What the application says, to the client, until either has ended."""
    while True:
        kind, _, *about = await down.get()
        if kind in ("left", "done"):
            return
        try:
            async with asyncio.timeout(_SEND_S):
                await send(_message(kind, about))
        except TimeoutError:
            return
        if kind in ("close", "lost"):
            return


def _message(kind: str, about: Sequence[Any]) -> Message:
    """Of ASGI, to a client."""
    if kind == "accept":
        return {"type": "websocket.accept", "subprotocol": about[0], "headers": _headers(about[1])}
    if kind == "text":
        return {"type": "websocket.send", "text": about[0]}
    if kind == "bytes":
        return {"type": "websocket.send", "bytes": about[0].encode("latin-1")}
    code, reason = about if kind == "close" else (_RESTART, "")
    return {"type": "websocket.close", "code": code, "reason": reason}


class TrunkEnd:
    """The application's end: plain ASGI middleware, outside of all others. Other calls go through as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        await receive()
        accept: Message = {"type": "websocket.accept"}
        await send(accept)
        sockets = _Sockets(self._app, scope)
        telling = asyncio.create_task(sockets.tell(send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                for event in json.loads(message["text"]):
                    sockets.take(event)
        finally:
            telling.cancel()
            await sockets.end()


class _Sockets:
    """Of one trunk, in the application's process."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self._app = app
        self._base = scope
        self._in: dict[int, asyncio.Queue[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: list[Event] = []
        self._news = asyncio.Event()

    def take(self, event: Event) -> None:
        kind, number, *about = event
        if kind == "open":
            self._in[number] = asyncio.Queue()
            self._in[number].put_nowait({"type": "websocket.connect"})
            task = asyncio.create_task(self._serve(number, _scope(self._base, about[0])))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        elif (queue := self._in.get(number)) is not None:
            queue.put_nowait(_from_client(kind, about[0]))

    async def tell(self, send: Send) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            events, self._out = self._out, []
            await send({"type": "websocket.send", "text": json.dumps(events)})

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, number: int, scope: Scope) -> None:
        async def send(message: Message) -> None:
            self._say(_event(number, message))

        try:
            await self._app(scope, self._in[number].get, send)
        finally:
            del self._in[number]
            self._say(("done", number))

    def _say(self, event: Event) -> None:
        self._out.append(event)
        self._news.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a WebSocket ended with an error", exc_info=error)


def _from_client(kind: str, about: Any) -> Message:
    if kind == "text":
        return {"type": "websocket.receive", "text": about}
    if kind == "bytes":
        return {"type": "websocket.receive", "bytes": about.encode("latin-1")}
    return {"type": "websocket.disconnect", "code": about}


def _event(number: int, message: Message) -> Event:
    """Of an ASGI message from the application."""
    kind = message["type"]
    if kind == "websocket.accept":
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in message.get("headers") or ()]
        return ("accept", number, message.get("subprotocol"), headers)
    if kind == "websocket.close":
        return ("close", number, message.get("code", 1000), message.get("reason") or "")
    text = message.get("text")
    if text is not None:
        return ("text", number, text)
    return ("bytes", number, message["bytes"].decode("latin-1"))


def _about(scope: Scope) -> dict[str, Any]:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    texts = {name: (scope.get(name) or b"").decode("latin-1") for name in _BYTES}
    return {name: scope.get(name) for name in _ABOUT} | texts | {"headers": headers}


def _scope(base: Scope, about: dict[str, Any]) -> Scope:
    """Of one socket, in the application's process: its client's own, on the trunk's."""
    own = dict(about) | {name: about[name].encode("latin-1") for name in _BYTES}
    own["headers"] = _headers(about["headers"])
    for name in ("client", "server"):
        own[name] = tuple(own[name]) if own[name] else None
    return dict(base) | own | {"root_path": base.get("root_path", ""), "state": {}, "extensions": {}}


def _headers(pairs: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
