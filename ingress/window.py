"""Answers go out as fast as their reader takes them.

Serve has no bounds between a replica that answers and the client: whatever is said heaps up in the proxy, for each slow
reader a picture or a whole zip. So the proxy's guard says in ``receive`` what the client has taken, in a message of our
own, which Serve carries like any other; the replica's end keeps a window of what is under way, in pieces.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE = 262_144
MOST_UNREAD = 2_097_152
"""Bytes of an answer between the application and its reader. Most answers are smaller, and wait for nobody."""
HEADER = (b"x-iopaint-window", b"1")
"""Of a call that came through the guard. Nobody says what was taken of another: its answer would wait for ever."""
_TAKEN = "iopaint.taken"


class Window:
    """Plain ASGI, in the replica. On another node than the replica's, a proxy may be without the guard."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or HEADER not in scope["headers"]:
            await self._app(scope, receive, send)
            return
        call = _Call(receive, send)
        await self._app(scope, call.receive, call.send)


class _Call:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._said: deque[Message] = deque()
        self._one_listens = asyncio.Lock()
        self._unread = 0
        self._left = False

    async def receive(self) -> Message:
        """Without what is between the guard and us."""
        await self._listen(lambda: not self._said and not self._left)
        return self._said.popleft() if self._said else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        for start in range(0, len(body) or 1, PIECE):
            await self._listen(lambda: self._unread > MOST_UNREAD and not self._left)
            if self._left:
                return
            piece = body[start : start + PIECE]
            self._unread += len(piece)
            await self._send({**message, "body": piece, "more_body": more or start + PIECE < len(body)})

    async def _listen(self, must_wait: Callable[[], bool]) -> None:
        while must_wait():
            async with self._one_listens:
                if must_wait():  # the other side of the call may have heard it meanwhile
                    self._hear(await self._receive())

    def _hear(self, message: Message) -> None:
        if message["type"] == _TAKEN:
            self._unread -= message["bytes"]
        elif message["type"] == "http.disconnect":
            self._left = True
        else:
            self._said.append(message)


class Reader:
    """The guard's end of one call. ``on_body`` hears of every piece of the body, and whether more is to come; False
    from it ends the call."""

    def __init__(self, receive: Receive, on_body: Callable[[int, bool], bool]) -> None:
        self._receive = receive
        self._on_body = on_body
        self._ended = False
        self._news = asyncio.Event()
        self._taken = self._under_way = 0

    def end(self) -> None:
        """As if the client had left."""
        self._ended = True
        self._news.set()

    def sent(self, message: Message) -> None:
        """After uvicorn took a piece, which it does when those before it are with the client's kernel."""
        self._taken += self._under_way
        self._under_way = len(message.get("body", b""))
        if self._taken >= PIECE:
            self._news.set()

    async def receive(self) -> Message:
        while not self._ended:
            message = await self._next()
            if message is None:
                if self._taken and not self._ended:
                    taken, self._taken = self._taken, 0
                    return {"type": _TAKEN, "bytes": taken}
            elif message["type"] == "http.request" and not self._on_body(
                len(message.get("body", b"")), message.get("more_body", False)
            ):
                self._ended = True
            else:
                return message
        return {"type": "http.disconnect"}

    async def _next(self) -> Message | None:
        """What the client says; None when there is news of ours."""
        listening = asyncio.ensure_future(self._receive())
        waiting = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((listening, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if not listening.done():
                listening.cancel()
        if listening.done() and not listening.cancelled():
            return listening.result()
        self._news.clear()
        return None
