"""The WebSockets: a receiver task beside a sender, the newest state of each followed task, ends always last."""

import asyncio
import contextlib
import json
import math
import re
import time
import uuid
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from deployments.tasks import TaskSnapshot
from ingress import links, presenters
from ingress.config import AppConfig
from ingress.own_tasks import visible
from ingress.schemas.requests import TASK_ID
from ingress.services import Services, TaskService, Watch
from ingress.sockets import SocketCount
from models.errors import TextRemovalError

_GAP_S = 0.1
"""At most ten rounds of updates a second for each socket."""
_NEWS_SOON_S = 0.25
"""News that come at the pace of the repetitions are waited for a little: each of them would be sent twice."""
_ENDS_KNOWN = 10_000
_SEND_S = 30.0
"""A client that takes nothing in for so long is gone."""
_TRY_LATER, _IDLE, _NEVER = 1013, 1001, 1008
_NO_ID = "task_id: letters, digits, '.', '_' and '-' are expected, 128 at most."


class _Silent(Exception):
    """Nothing was said in either direction for long."""


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1/ws")
    sockets = SocketCount(config.max_websockets_per_client)

    @router.websocket("/progress")
    async def all_tasks(socket: WebSocket) -> None:
        with sockets.place(links.client_name(socket)) as refusal:
            await _serve(socket, services, config, None, refusal)

    @router.websocket("/progress/{task_id}")
    async def one_task(socket: WebSocket, task_id: str) -> None:
        with sockets.place(links.client_name(socket)) as refusal:
            await _serve(socket, services, config, task_id, refusal)

    return router


async def _serve(socket: WebSocket, services: Services, config: AppConfig, task_id: str | None, refusal: str) -> None:
    origin = socket.headers.get("origin")
    await socket.accept()
    own = (origin or "").partition("://")[2] == socket.headers.get("host")
    if origin and not own and not {"*", origin} & set(config.cors_origins):
        await socket.close(4403, "This origin is not allowed (CORS_ORIGINS).")
        return
    if refusal:
        await socket.close(_TRY_LATER, refusal)
        return
    if task_id is not None and not re.fullmatch(TASK_ID, task_id):  # it never reaches a path of the archive
        await socket.close(_NEVER, _NO_ID)
        return
    tasks_of_client = visible(services.tasks, socket)
    async with tasks_of_client.watch() as watch:
        session = _Session(socket, tasks_of_client, watch, task_id, config)
        tasks = [asyncio.create_task(session.receive()), asyncio.create_task(session.send())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            # However one side ended (the client left, the end was sent, the request was cancelled), both are over.
            # Not gather: it would hide from a cancel scope above that the cancellation is the scope's own.
            await asyncio.wait(tasks)
    for task in tasks:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, WebSocketDisconnect | RuntimeError | TimeoutError | _Silent):
            raise error
    silent = any(not task.cancelled() and isinstance(task.exception(), _Silent) for task in tasks)
    if socket.client_state is WebSocketState.CONNECTED and socket.application_state is WebSocketState.CONNECTED:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(_IDLE if silent else 1000)


class _Session:
    """One socket. ``own`` is the task of the path; None on the general endpoint."""

    def __init__(self, socket: WebSocket, tasks: TaskService, watch: Watch, own: str | None, config: AppConfig) -> None:
        self._config = config
        self._subscriptions = {own} - {None}
        self._heard_at = time.monotonic()
        self._socket = socket
        self._tasks = tasks
        self._watch = watch
        self._own = own
        self._live: dict[str, tuple[TaskSnapshot, float]] = {}
        """What was last sent of each task, and when it is due again."""
        self._ended: dict[str, None] = {}
        """Whose end was sent, the latest last. A socket that stays for weeks need not know all of them."""
        self._subscribed = own is not None
        self._lock = asyncio.Lock()

    async def send(self) -> None:
        """Ends when the path's own task has ended."""
        await self._put(presenters.message("connection_established", connection_id=uuid.uuid4().hex, task_id=self._own))
        if self._own is None:
            self._watch.follow_all(True)
        else:
            self._watch.add(self._own)
        while True:
            for snapshot in await self._watch.changes(self._pause_s()):
                if self._wants(snapshot):
                    await self._state(snapshot)
            await self._repeat()
            if time.monotonic() - self._heard_at > self._config.websocket_idle_s:
                raise _Silent
            if self._own in self._ended:
                return
            await asyncio.sleep(_GAP_S)

    async def receive(self) -> None:
        """Ends when the client leaves."""
        while True:
            said = await self._socket.receive()
            if said["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(said["code"])
            self._heard_at = time.monotonic()
            text = said.get("text") or ""  # bytes are no JSON text
            try:
                if len(text) > self._config.max_message_chars:
                    message = None
                else:
                    message = json.loads(text, parse_float=_finite, parse_constant=_finite)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict):
                await self._error(f"A JSON object of at most {self._config.max_message_chars} characters is expected.")
                continue
            await self._handle(message)

    async def _handle(self, message: dict[str, Any]) -> None:
        kind, task_id = message.get("type"), message.get("task_id")
        if kind == "ping":
            await self._put(
                presenters.message("pong") | {"timestamp": message.get("timestamp", presenters.timestamp())}
            )
            return
        handlers = {
            "subscribe_task": self._subscribe,
            "unsubscribe_task": self._unsubscribe,
            "get_task_status": self._status,
            "cancel_task": self._cancel,
        }
        handler = handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            await self._error(f"type must be one of: ping, {', '.join(handlers)}.")
        elif not isinstance(task_id, str) or not re.fullmatch(TASK_ID, task_id):
            await self._error(_NO_ID)
        else:
            await handler(task_id)

    async def _subscribe(self, task_id: str) -> None:
        if task_id not in self._subscriptions and len(self._subscriptions) >= self._config.max_subscriptions:
            await self._error(f"At most {self._config.max_subscriptions} subscriptions are allowed; unsubscribe first.")
            return
        self._subscriptions.add(task_id)
        if not self._subscribed:
            self._subscribed = True
            self._watch.follow_all(False)
        await self._put(presenters.message("task_subscribed", task_id=task_id))
        self._ended.pop(task_id, None)  # who subscribes again is told the end again
        self._watch.add(task_id)

    async def _unsubscribe(self, task_id: str) -> None:
        self._subscriptions.discard(task_id)
        self._watch.remove(task_id)
        await self._put(presenters.message("task_unsubscribed", task_id=task_id))

    async def _status(self, task_id: str) -> None:
        try:
            snapshot = await self._tasks.get(task_id)
        except TextRemovalError as error:
            await self._error(error.message)
            return
        await self._put(presenters.progress(snapshot))

    async def _cancel(self, task_id: str) -> None:
        told = task_id in self._ended
        try:
            snapshot = await self._tasks.cancel(task_id)
        except TextRemovalError as error:
            await self._error(error.message)
            return
        if told:
            self._ended.pop(task_id, None)  # who asks again is told the end again
        await self._state(snapshot)

    def _wants(self, snapshot: TaskSnapshot) -> bool:
        """Asked when it is sent: what was on its way may have been unsubscribed from meanwhile."""
        return not self._subscribed or not self._subscriptions.isdisjoint({snapshot.task_id, snapshot.batch_id})

    async def _state(self, snapshot: TaskSnapshot, wait_s: float = _NEWS_SOON_S) -> None:
        task_id = snapshot.task_id
        if task_id in self._ended:
            return
        if snapshot.status.is_terminal:
            self._ended[task_id] = None
            if len(self._ended) > _ENDS_KNOWN:
                del self._ended[next(iter(self._ended))]
            self._live.pop(task_id, None)
        elif snapshot.enable_progress:
            before = self._live.get(task_id)
            if before is not None and before[0].overall_progress > snapshot.overall_progress:
                # An attempt that starts over under a tracker that starts over: the work falls back, not the bar.
                snapshot = replace(snapshot, overall_progress=before[0].overall_progress)
            self._live[task_id] = (snapshot, time.monotonic() + snapshot.progress_interval_s + wait_s)
        else:
            return
        await self._put(presenters.progress(snapshot))

    async def _repeat(self) -> None:
        """The newest state again, with fresh times, for tasks that had no news for their interval."""
        now = time.monotonic()
        for snapshot, due_at in list(self._live.values()):
            if not self._wants(snapshot):
                self._live.pop(snapshot.task_id, None)
            elif now >= due_at:
                await self._state(snapshot, 0.0)

    def _pause_s(self) -> float:
        now = time.monotonic()
        due = (due_at - now for _, due_at in self._live.values())
        return max(0.01, min(due, default=self._config.websocket_idle_s))

    async def _error(self, text: str) -> None:
        await self._put(presenters.message("error", error=text))

    async def _put(self, message: dict[str, Any]) -> None:
        async with self._lock, asyncio.timeout(_SEND_S):
            self._heard_at = time.monotonic()
            await self._socket.send_text(json.dumps(message))


def _finite(text: str) -> float:
    """Raises ``ValueError``: NaN and infinities are no JSON, though Python reads and writes them."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no JSON")
    return value
