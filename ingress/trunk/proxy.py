"""The proxy's end of trunks."""

import asyncio
import contextvars
import itertools
import json
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress.trunk import events
from ingress.trunk.events import PATH, Event

MAX_SOCKETS = 200
_TAKES_NEW_S = 30.0
"""Younger trunks take new sockets; so they move on to new replicas when these come, and old ones empty."""
_MOST_UNTAKEN = 65_536
"""Cost of what a client said and the application has not taken; beyond it the client is not read (one message more)."""
_MOST_UNREAD = 2_097_152
"""Cost of what a client has not read; one that far behind is told to come again."""
_UNREAD_AND_STILL_HEARD = 262_144
"""Who does not read the answers that it has is not listened to: nobody can heap up answers by asking."""
_SEND_S = 30.0
"""A client that takes nothing in for so long is gone."""
_LOST = (1012, "")
_TOO_SLOW = (1013, "Messages were not read as fast as they came. Connect again to go on.")


class Trunks:
    """``app`` is Serve's proxy."""

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
        """Bounded by the windows of the sockets."""
        self._sockets: dict[int, _Socket] = {}
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
        number, socket = next(self._numbers), _Socket()
        self._sockets[number] = socket
        self._up.put_nowait(("open", number, events.about(scope)))
        reading = asyncio.create_task(self._read(number, receive, socket))
        try:
            await socket.pass_on(send)
        finally:
            reading.cancel()
            if self._sockets.pop(number, None) is not None:
                self._up.put_nowait(("gone", number, 1006))  # for the application's end, if it does not know yet
            if not self._sockets:
                self._over = True
                self._up.put_nowait(("end", -1))

    async def _read(self, number: int, receive: Receive, socket: "_Socket") -> None:
        while True:
            await socket.may_speak.wait()
            message = await receive()
            socket.said(message)
            self._up.put_nowait(events.from_client(number, message))
            if message["type"] == "websocket.disconnect":
                socket.put(("left", number))
                return

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self._over = True
            for number, socket in self._sockets.items():
                socket.put(("close", number, *_LOST))

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        gathered = [await self._up.get()]
        while not self._up.empty():
            gathered.append(self._up.get_nowait())
        if gathered[-1][0] == "end":
            return {"type": "websocket.disconnect", "code": 1000}
        return {"type": "websocket.receive", "text": json.dumps(gathered)}

    async def _send(self, message: Message) -> None:
        if message["type"] != "websocket.send":
            return
        for event in json.loads(message["text"]):
            socket = self._sockets.get(event[1])
            if socket is None:
                continue
            if event[0] == "took":
                socket.took(event[2])
            else:
                socket.put(event)


class _Socket:
    """One client's."""

    def __init__(self) -> None:
        self.may_speak = asyncio.Event()
        self._down: asyncio.Queue[tuple[Event, int]] = asyncio.Queue()
        self._untaken = self._unread = 0
        self._note()

    def said(self, message: Message) -> None:
        self._untaken += events.cost(message)
        self._note()

    def took(self, cost: int) -> None:
        self._untaken -= cost
        self._note()

    def put(self, event: Event) -> None:
        """For the client."""
        kind, number, *about = event
        cost = events.cost(events.to_client(kind, about)) if kind in ("text", "bytes") else 0
        if self._unread + cost > _MOST_UNREAD:
            while not self._down.empty():
                self._down.get_nowait()
            event, cost = ("close", number, *_TOO_SLOW), 0
        self._unread += cost
        self._down.put_nowait((event, cost))
        self._note()

    async def pass_on(self, send: Send) -> None:
        """What the application says, to the client, until either has ended."""
        while True:
            (kind, _, *about), cost = await self._down.get()
            if kind in ("left", "done"):
                return
            try:
                async with asyncio.timeout(_SEND_S):
                    await send(events.to_client(kind, about))
            except TimeoutError:
                return
            if kind == "close":
                return
            self._unread -= cost
            self._note()

    def _note(self) -> None:
        if self._untaken < _MOST_UNTAKEN and self._unread < _UNREAD_AND_STILL_HEARD:
            self.may_speak.set()
        else:
            self.may_speak.clear()
