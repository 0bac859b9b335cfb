"""The application's end of a trunk."""

import asyncio
import json
import logging
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress.trunk import events
from ingress.trunk.events import PATH, Event

log = logging.getLogger("ray.serve")
_GATHER_S = 0.01


class TrunkEnd:
    """Plain ASGI middleware, outside of all others. Other calls go through as they are."""

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
    """Of one trunk."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self._app = app
        self._base = scope
        self._in: dict[int, asyncio.Queue[Message]] = {}
        """Bounded by the proxy's end, which sends no more than a window before it hears that it was taken."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: list[Event] = []
        self._took = Counter[int]()
        self._news = asyncio.Event()

    def take(self, event: Event) -> None:
        kind, number, *about = event
        if kind == "open":
            self._in[number] = asyncio.Queue()
            self._in[number].put_nowait({"type": "websocket.connect"})
            task = asyncio.create_task(self._serve(number, events.scope_of(self._base, about[0])))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        elif (queue := self._in.get(number)) is not None:
            queue.put_nowait(events.to_application(kind, about[0]))

    async def tell(self, send: Send) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            told: list[Event] = [*self._out, *(("took", number, cost) for number, cost in self._took.items())]
            self._out = []
            self._took.clear()
            await send({"type": "websocket.send", "text": json.dumps(told)})

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, number: int, scope: Scope) -> None:
        queue = self._in[number]

        async def receive() -> Message:
            message = await queue.get()
            if cost := events.cost(message):
                self._took[number] += cost
                self._news.set()
            return message

        async def send(message: Message) -> None:
            self._say(events.from_application(number, message))

        try:
            await self._app(scope, receive, send)
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
